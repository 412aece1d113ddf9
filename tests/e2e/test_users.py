# SPDX-License-Identifier: GPL-2.0-or-later
"""Who the program runs as, and whose the trace is."""

import os
import re
import stat

import pytest

from captures import packets
from runs import read_until, status, wait_roles

SUDO = {"SUDO_UID": "1234", "SUDO_GID": "1234", "SUDO_USER": "alice"}
NAMES = ["HOME", "USER", "LOGNAME", "USERNAME", "SHELL"]


@pytest.fixture
def lab(same_lab):
    return same_lab


@pytest.fixture
def everybodys(lab):
    """A directory such as /tmp."""
    folder = lab.dir / "sticky"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


def owner(path):
    found = os.lstat(path)
    return found.st_uid, found.st_gid


# -- the program's identity --------------------------------------------------

@pytest.mark.parametrize("user, identity, home", [
    ("nobody", "65534 65534 65534", "/nonexistent"),
    ("65534", "65534 65534 65534", "/nonexistent"),
    ("alice", "1234 1234 1234 50", "/home/alice"),
    ("1234", "1234 1234 1234 50", "/home/alice"),
    ("root", "0 0 0", "/root"),
    ("4242", "4242 65534", None),
])
def test_becomes_the_user(lab, user, identity, home):
    """-u by name or number: uid, gid, supplementary groups, environment."""
    done = lab.nsntrace("-u", user, "sh", "-c",
                        "echo $(id -u) $(id -g) $(id -G); env")
    first, *rest = done.stdout.splitlines()
    uid = identity.split()[0]
    if home:
        assert sorted(set(first.split()), key=first.split().index) == list(
            dict.fromkeys(identity.split()))
    else:
        # Of a number without a name: no group that could mean something.
        assert first.split()[0] == uid and "0" not in first.split()
    env = dict(line.split("=", 1) for line in rest)
    name = {"65534": "nobody", "1234": "alice"}.get(user, user)
    assert [env["USER"], env["LOGNAME"], env["USERNAME"]] == [name] * 3
    if home:
        shell = lab.run(["getent", "passwd", name]).stdout.strip().split(":")[6]
        assert [env["HOME"], env["SHELL"]] == [home, shell]


def test_all_ids_are_the_users(lab):
    """Real, effective, saved and file-system ids are the user's; no rights."""
    done = lab.nsntrace("-u", "alice", "cat", "/proc/self/status")
    told = dict(line.split(":\t", 1) for line in done.stdout.splitlines()
                if ":\t" in line)
    assert told["Uid"] == "1234\t1234\t1234\t1234"
    assert told["Gid"] == "1234\t1234\t1234\t1234"
    assert sorted(told["Groups"].split()) == ["1234", "50"]
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(told[kind], 16) == 0
    # Going up again by a setuid program must still be possible.
    assert told["NoNewPrivs"] == "0" and int(told["CapBnd"], 16) != 0


def test_setuid_programs_work_inside(lab):
    """A setuid program inside gets the rights that it gets outside."""
    lab.sh("cp /usr/bin/id id; chmod 4755 id; mount -o remount,suid /tmp"
           " 2>/dev/null || true")
    outside = lab.run(["./id", "-u"], user="alice").stdout
    assert outside == "0\n", "the work directory does not honour setuid"
    assert lab.nsntrace("-u", "alice", "./id", "-u").stdout == "0\n"


@pytest.mark.parametrize("user", ["no-such-user", "4294967295", "-1", "12x"])
def test_unknown_user(lab, user):
    """A user that there is not: one line, 125, before anything is built."""
    done = lab.nsntrace("-u", user, "sh", "-c", "echo ran")
    assert done.returncode == 125 and done.stdout == ""
    assert done.stderr == f"nsntrace: unknown user '{user}'\n"
    assert not (lab.dir / "nsntrace.pcap").exists()


def test_without_u_nothing_changes(lab):
    """Without -u the program is who invoked nsntrace: root under sudo."""
    script = "id; env | sort"
    for env in ({}, SUDO):
        plain = lab.run(["sh", "-c", script], env=env).stdout
        assert lab.nsntrace("sh", "-c", script, env=env).stdout == plain


def test_files_belong_to_the_user(lab):
    """What the program writes is the user's; the trace is the invoker's."""
    lab.dir.chmod(0o777)
    done = lab.nsntrace("-u", "nobody", "sh", "-c", "echo x >made", env=SUDO)
    lab.dir.chmod(0o755)
    assert done.returncode == 0, done
    assert owner(lab.dir / "made") == (65534, 65534)
    assert owner(lab.dir / "nsntrace.pcap") == (1234, 1234)


# -- whose the trace is ------------------------------------------------------

@pytest.mark.parametrize("env, uid", [
    ({}, 0),
    (SUDO, 1234),
    ({"SUDO_UID": "1234"}, 1234),
    ({"DOAS_USER": "alice"}, 1234),
    ({"PKEXEC_UID": "1234"}, 1234),
    ({"SUDO_UID": "0"}, 0),
    ({"SUDO_UID": ""}, 0),
    ({"SUDO_UID": "rubbish"}, 0),
])
def test_trace_belongs_to_the_invoker(lab, env, uid):
    """SUDO_UID, DOAS_USER, PKEXEC_UID, else the real ids."""
    home = lab.path("/home/alice")
    done = lab.nsntrace("-u", "nobody", "true", env=env, cwd="/home/alice")
    assert done.returncode == 0, done
    trace = home / "nsntrace.pcap"
    found = owner(trace)
    mode = stat.S_IMODE(trace.stat().st_mode)
    assert packets(trace) == 0
    trace.unlink()
    assert found == (uid, uid) and mode == 0o644


def test_umask_applies_to_the_trace(lab):
    """The trace is made with the umask of who asked for it."""
    lab.run(["sh", "-c", 'umask 077; "$0" true', lab.nsntrace_path], check=True)
    assert stat.S_IMODE((lab.dir / "nsntrace.pcap").stat().st_mode) == 0o600


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_sudo_i_in_root(lab, user):
    """`sudo -i` in /root, where the invoking user may not write."""
    done = lab.nsntrace("-u", user, "true", env=SUDO, cwd="/root")
    assert done.returncode == 0, done
    trace = lab.path("/root/nsntrace.pcap")
    found = owner(trace)
    assert packets(trace) == 0
    # Once more: onto a file that is root's own.
    assert lab.nsntrace("true", env=SUDO, cwd="/root").returncode == 0
    trace.unlink()
    assert found == (0, 0)


def test_root_shell(lab):
    """A root shell without sudo's variables: the trace is root's."""
    env = {"SUDO_UID": None, "SUDO_USER": None}
    assert lab.nsntrace("true", env=env, cwd="/root").returncode == 0
    trace = lab.path("/root/nsntrace.pcap")
    found = owner(trace)
    trace.unlink()
    assert found == (0, 0)


def test_directory_of_roots_only(lab):
    """A directory that only root may write is written, as root called."""
    folder = lab.dir / "roots"
    folder.mkdir(mode=0o755)
    done = lab.nsntrace("-o", "roots/x.pcap", "true", env=SUDO)
    assert done.returncode == 0, done
    assert owner(folder / "x.pcap") == (0, 0)


def test_never_onto_anothers_file_with_roots_rights(lab):
    """A file of somebody else's, which the invoker may not write, is refused."""
    bobs = lab.dir / "bobs.pcap"
    bobs.write_text("precious")
    os.chown(bobs, 4321, 4321)
    bobs.chmod(0o644)
    done = lab.nsntrace("-o", "bobs.pcap", "true", env=SUDO)
    assert done.returncode == 125
    assert done.stderr == ("nsntrace: cannot write to 'bobs.pcap':"
                           " Permission denied\n"
                           "nsntrace: hint: nsntrace --doctor tells what is"
                           " missing\n")
    told = lab.nsntrace("-o", "bobs.pcap", "--doctor", env=SUDO)
    assert "problem  output: cannot write to 'bobs.pcap'" in told.stdout
    assert bobs.read_text() == "precious" and owner(bobs) == (4321, 4321)


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o640])
def test_owner_and_mode_of_an_existing_file(lab, mode):
    """Owner and mode of an existing file are never changed."""
    old = lab.dir / "old.pcap"
    old.write_text("x" * 1000)
    os.chown(old, 1234, 50)
    old.chmod(mode)
    for env in (SUDO, {}):
        done = lab.nsntrace("-u", "nobody", "-o", "old.pcap", "true", env=env)
        assert done.returncode == 0, done
        assert owner(old) == (1234, 50)
        assert stat.S_IMODE(old.stat().st_mode) == mode
        assert packets(old) == 0


# -- traps in a directory for everybody --------------------------------------

@pytest.mark.parametrize("env", [SUDO, {}], ids=["sudo", "root"])
@pytest.mark.parametrize("trap", ["symlink", "dangling", "hard link", "file",
                                  "fifo"])
def test_trap_in_a_sticky_directory(lab, everybodys, trap, env):
    """What somebody else has put into /tmp under our name is not written."""
    secret = lab.dir / "secret"
    secret.write_text("precious")
    os.chown(secret, 1234 if env else 0, 0)
    bait = everybodys / "nsntrace.pcap"
    if trap == "symlink":
        bait.symlink_to(secret)
    elif trap == "dangling":
        bait.symlink_to(lab.dir / "made")
    elif trap == "hard link":
        os.link(secret, bait)
    elif trap == "file":
        bait.write_text("")
        bait.chmod(0o666)
    else:
        os.mkfifo(bait)
        bait.chmod(0o666)
    if trap != "hard link":
        os.lchown(bait, 4321, 4321)
    done = lab.nsntrace("sh", "-c", "echo ran", env=env, cwd=everybodys)
    assert done.returncode == 125 and done.stdout == "", done
    assert re.fullmatch(r"nsntrace: cannot write to 'nsntrace.pcap': .+\n"
                        "nsntrace: hint: .*--doctor.*\n", done.stderr)
    assert secret.read_text() == "precious"
    assert not (lab.dir / "made").exists()


@pytest.mark.parametrize("env", [SUDO, {}], ids=["sudo", "root"])
def test_sticky_directory_is_no_obstacle(lab, everybodys, env):
    """One's own file in /tmp is made, and written once more."""
    for _ in range(2):
        done = lab.nsntrace("true", env=env, cwd=everybodys)
        assert done.returncode == 0, done
    assert owner(everybodys / "nsntrace.pcap") == ((1234, 1234) if env else
                                                   (0, 0))


# -- ids of our own processes ------------------------------------------------

@pytest.mark.parametrize("env", [SUDO, {}], ids=["sudo", "root"])
@pytest.mark.parametrize("user", ["root", "alice", "nobody"])
def test_tracer_is_never_root(lab, env, user):
    """tracer's Uid is the invoker's, or nobody's when that is root; never 0."""
    front = lab.popen_nsntrace("-u", user, "sh", "-c",
                               "echo started; exec sleep 1000", env=env)
    read_until(front.stdout, "started")
    run = wait_roles(front.pid)
    found = status(run["tracer"])
    wanted = "1234" if env else "65534"
    assert found["Uid"].split() == [wanted] * 4
    assert found["Gid"].split() == [wanted] * 4
    assert "0" not in found["Groups"].split()
    assert status(run["front"])["Uid"].split() == ["1234" if env else "0"] * 4
    front.terminate()
    assert front.wait(10) == -15
