/* The limit of unpacking: one process, one system call for each thing that has to be done.
 *
 * unpack ARCHIVE TARGET: maps a tar of tars into memory, and for every member opens, writes and closes a file in
 * TARGET/WNID. It checks nothing, makes nothing durable and keeps no record. For ustar archives without extensions.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 512, NAME = 100, SIZE = 124, SIZE_DIGITS = 12 };

static void fail(const char *what) { perror(what); exit(1); }

static size_t size_of(const char *header) {
    char digits[SIZE_DIGITS + 1] = {0};
    memcpy(digits, header + SIZE, SIZE_DIGITS);
    return strtoull(digits, NULL, 8);
}

static size_t blocks(size_t size) { return (size + BLOCK - 1) / BLOCK * BLOCK; }

static void write_file(int folder, const char *name, const char *data, size_t size) {
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) fail(name);
    for (size_t done = 0; done < size;) {
        ssize_t written = write(file, data + done, size - done);
        if (written < 0) fail(name);
        done += (size_t)written;
    }
    close(file);
}

static void unpack_class(int target, const char *header, const char *end) {
    char wnid[NAME + 1] = {0};
    memcpy(wnid, header, NAME);
    *strrchr(wnid, '.') = 0;
    if (mkdirat(target, wnid, 0755)) fail(wnid);
    int folder = openat(target, wnid, O_RDONLY | O_DIRECTORY);
    if (folder < 0) fail(wnid);
    for (const char *member = header + BLOCK; member < end && *member;) {
        size_t size = size_of(member);
        write_file(folder, member, member + BLOCK, size);
        member += BLOCK + blocks(size);
    }
    close(folder);
}

int main(int count, char **arguments) {
    if (count != 3) { fputs("usage: unpack ARCHIVE TARGET\n", stderr); return 2; }
    int archive = open(arguments[1], O_RDONLY);
    struct stat status;
    if (archive < 0 || fstat(archive, &status)) fail(arguments[1]);
    const char *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, archive, 0);
    if (data == MAP_FAILED) fail("mmap");
    madvise((void *)data, (size_t)status.st_size, MADV_SEQUENTIAL);
    if (mkdir(arguments[2], 0755)) fail(arguments[2]);
    int target = open(arguments[2], O_RDONLY | O_DIRECTORY);
    if (target < 0) fail(arguments[2]);
    for (const char *inner = data; inner < data + status.st_size && *inner;) {
        const char *end = inner + BLOCK + blocks(size_of(inner));
        unpack_class(target, inner, end);
        inner = end;
    }
    return 0;
}
