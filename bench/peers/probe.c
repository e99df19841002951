/* The limit of reading headers: how fast the disk gives 512 bytes at each of many places, many asked for at once.
 *
 * probe FILE PLACES THREADS: PLACES is a file of int64 byte offsets; each thread takes every n-th stretch of them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 512, STRETCH = 1024, MOST_THREADS = 256 };

static int file;
static int64_t *places;
static size_t count;
static atomic_size_t taken;

static void fail(const char *what) { perror(what); exit(1); }

static void *read_stretches(void *unused) {
    char block[BLOCK];
    (void)unused;
    for (size_t start; (start = atomic_fetch_add(&taken, STRETCH)) < count;)
        for (size_t i = start; i < count && i < start + STRETCH; i++)
            if (pread(file, block, BLOCK, places[i]) != BLOCK) fail("pread");
    return NULL;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void load(const char *path) {
    struct stat status;
    FILE *list = fopen(path, "rb");
    if (!list || fstat(fileno(list), &status)) fail(path);
    count = (size_t)status.st_size / sizeof *places;
    places = malloc((size_t)status.st_size);
    if (!places || fread(places, sizeof *places, count, list) != count) fail(path);
    fclose(list);
}

int main(int arguments, char **argument) {
    pthread_t thread[MOST_THREADS];
    int threads = arguments == 4 ? atoi(argument[3]) : 0;
    if (threads < 1 || threads > MOST_THREADS) { fputs("usage: probe FILE PLACES THREADS\n", stderr); return 2; }
    load(argument[2]);
    if ((file = open(argument[1], O_RDONLY)) < 0) fail(argument[1]);
    posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
    double begun = now();
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, read_stretches, NULL)) fail("pthread_create");
    for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    printf("seconds: %f\n", now() - begun);
    return 0;
}
