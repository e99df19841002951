"""Ceph's S3, on one node in a temporary folder: a monitor, a store of objects in memory, and radosgw before them.

Ceph's packages of Debian are made for systemd and for a machine of their own. Three processes, started by hand on
loopback without authentication among themselves, are a whole cluster too, ready in some seconds. It has no manager:
only statistics and the dashboard need one.
"""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.fetch.nginx import free_port, program
from tests.stores.servers import ACCESS_KEY, S3, SECRET, running, wait_for

_CONFIG = """
[global]
fsid = {cluster}
mon_host = [v2:127.0.0.1:{monitor}]
public_addr = 127.0.0.1
ms_bind_msgr1 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
ms_mon_client_mode = crc
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
paxos_propose_interval = 0.05
admin_socket =
run_dir = {home}
log_file = {home}/$name.log
mon_cluster_log_file = {home}/cluster.log
[mon.a]
mon_data = {home}/mon
mon_data_avail_crit = 1
mon_data_avail_warn = 1
[osd.0]
osd_data = {home}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{gateway}
"""
"""The settings of the cluster, each as Ceph's reference has it.

One replica in a pool of one placement group. The gateway asks for an encrypted line to the monitor by default, which
there is not without authentication: `ms_mon_client_mode`. A monitor stops at a disk that is 95 % full by default.
The monitor gathers changes for a second by default, and the gateway makes eight pools: `paxos_propose_interval`.
"""

PACKAGES = "radosgw ceph-mon ceph-osd ceph-common"
"""Debian's packages that this needs."""


@contextlib.contextmanager
def radosgw(home: Path) -> Iterator[S3]:
    """Run a cluster of one node, and its gateway.

    home : an empty folder for its data and logs
    """
    names = ("ceph-mon", "ceph-osd", "radosgw", "ceph", "monmaptool", "radosgw-admin")
    path = {name: program(name, PACKAGES) for name in names}
    config = home / "ceph.conf"
    monitor, gateway, cluster, store = free_port(), free_port(), str(uuid.uuid4()), str(uuid.uuid4())
    config.write_text(_CONFIG.format(home=home, monitor=monitor, gateway=gateway, cluster=cluster))
    for folder in ("mon", "osd"):
        (home / folder).mkdir()

    def run(name: str, *words: str) -> None:
        command = [path[name], *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert not done.returncode, f"{command}: {done.stdout}{done.stderr}"

    def serve(name: str, *words: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        return running([path[name], "-f", *words, "-c", str(config)], home / f"{name}.out")

    run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", f"[v2:127.0.0.1:{monitor}]", f"{home}/monmap")
    run("ceph-mon", "--mkfs", "-i", "a", "--monmap", f"{home}/monmap", "-c", str(config))
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(serve("ceph-mon", "-i", "a"))
        wait_for(monitor, process, home / "ceph-mon.out")
        run("ceph", "-c", str(config), "osd", "create", store)
        run("ceph", "-c", str(config), "osd", "crush", "add", "osd.0", "1", "root=default", "host=here")
        run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", store, "-c", str(config))
        stack.enter_context(serve("ceph-osd", "-i", "0"))
        keys = f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET}"
        run("radosgw-admin", "-c", str(config), "user", "create", "--uid=tests", "--display-name=tests", *keys)
        process = stack.enter_context(serve("radosgw", "-n", "client.rgw"))
        wait_for(gateway, process, home / "radosgw.out")
        yield S3("radosgw", f"http://127.0.0.1:{gateway}", process)
