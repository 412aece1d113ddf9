/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of our processes needs which system calls when it has given up its
 * rights. Listed is what a C library may call for what we do, on any
 * architecture, and not what one of them was seen to call. How the kernel is
 * told is left to sandbox.c.
 */
#include "base/sandbox_rules.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/sandbox.h"

#define FRONT  (1U << SANDBOX_FRONT)
#define TRACER (1U << SANDBOX_TRACER)
#define RELAY  (1U << SANDBOX_RELAY)
#define EACH   (FRONT | TRACER | RELAY)

/* Conditions: the argument, those of its bits that count, and their value. */
#define ANYHOW			 0, 0, 0
#define IF_IS(argument, value)	 (argument), UINT32_MAX, (value)
#define IF_HAS(argument, bits)	 (argument), (bits), (bits)
#define IF_LACKS(argument, bits) (argument), (bits), 0

/* Whoever only reads a file does without them. */
#define WRITING (O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY))

/* A thread, and no process. */
#define THREAD (CLONE_VM | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

/* Linux 5.17; only glibc that was told to by its tunables calls it. */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

const struct sandbox_rule sandbox_allowed[] = {
	/* To run at all, to wait, and to end, also by abort(3). */
	{ "restart_syscall", EACH, ANYHOW },
	{ "rt_sigaction", EACH, ANYHOW },
	{ "rt_sigprocmask", EACH, ANYHOW },
	{ "rt_sigreturn", EACH, ANYHOW },
	{ "sigreturn", EACH, ANYHOW },
	{ "getpid", EACH, ANYHOW },
	{ "gettid", EACH, ANYHOW },
	{ "tgkill", EACH, IF_IS(0, SANDBOX_OWN_PID) },
	{ "tkill", EACH, IF_IS(0, SANDBOX_OWN_PID) },
	{ "exit", EACH, ANYHOW },
	{ "exit_group", EACH, ANYHOW },
	{ "futex", EACH, ANYHOW },
	{ "futex_time64", EACH, ANYHOW },
	{ "poll", EACH, ANYHOW },
	{ "ppoll", EACH, ANYHOW },
	{ "ppoll_time64", EACH, ANYHOW },
	{ "nanosleep", EACH, ANYHOW },
	{ "clock_nanosleep", EACH, ANYHOW },
	{ "clock_nanosleep_time64", EACH, ANYHOW },
	/* Where they take no short cut: with some clocks, and virtually. */
	{ "clock_gettime", EACH, ANYHOW },
	{ "clock_gettime64", EACH, ANYHOW },
	{ "gettimeofday", EACH, ANYHOW },
	{ "time", EACH, ANYHOW },

	/* Memory, none of which can be executed. */
	{ "brk", EACH, ANYHOW },
	{ "mmap", EACH, IF_LACKS(2, PROT_EXEC) },
	{ "mmap2", EACH, IF_LACKS(2, PROT_EXEC) },
	{ "mprotect", EACH, IF_LACKS(2, PROT_EXEC) },
	{ "mremap", EACH, ANYHOW },
	{ "munmap", EACH, ANYHOW },
	{ "madvise", EACH, ANYHOW },
	{ "getrandom", EACH, ANYHOW },
	{ "sched_getaffinity", EACH, ANYHOW },
	{ "prctl", EACH, IF_IS(0, PR_SET_VMA) },

	/* What is open; above all the channel. */
	{ "read", EACH, ANYHOW },
	{ "readv", EACH, ANYHOW },
	{ "write", EACH, ANYHOW },
	{ "writev", EACH, ANYHOW },
	{ "close", EACH, ANYHOW },
	{ "recvmsg", EACH, ANYHOW },
	{ "sendmsg", EACH, ANYHOW },
	{ "getsockopt", EACH, ANYHOW },
	{ "shutdown", EACH, ANYHOW },
	{ "ioctl", EACH, IF_IS(1, SIOCOUTQ) },

	/* Netlink, packet and Internet sockets. */
	{ "recv", TRACER | RELAY, ANYHOW },
	{ "recvfrom", TRACER | RELAY, ANYHOW },
	{ "send", TRACER | RELAY, ANYHOW },
	{ "sendto", TRACER | RELAY, ANYHOW },

	/* front: the terminal, job control, and dying as the program did. */
	{ "ioctl", FRONT, IF_IS(1, TCGETS) },
#ifdef TCGETS2
	{ "ioctl", FRONT, IF_IS(1, TCGETS2) },
#endif
	{ "ioctl", FRONT, IF_IS(1, TIOCGPGRP) },
	{ "ioctl", FRONT, IF_IS(1, TIOCSPGRP) },
	{ "ioctl", FRONT, IF_IS(1, TIOCGWINSZ) },
	{ "getpgid", FRONT, ANYHOW },
	{ "getpgrp", FRONT, ANYHOW },
	{ "kill", FRONT, IF_IS(0, SANDBOX_OWN_PID) },
	{ "kill", FRONT, IF_IS(1, 0) },
	{ "pread64", FRONT, ANYHOW },

	/* Whose child somebody is. */
	{ "open", FRONT, IF_LACKS(1, WRITING) },
	{ "openat", FRONT, IF_LACKS(2, WRITING) },
	{ "fcntl", FRONT, IF_IS(1, F_SETFD) },
	{ "fcntl64", FRONT, IF_IS(1, F_SETFD) },

	/* The size and the end of a file; where it stands. */
	{ "fstat", FRONT | TRACER, ANYHOW },
	{ "fstat64", FRONT | TRACER, ANYHOW },
	{ "fstatat64", FRONT | TRACER, IF_HAS(3, AT_EMPTY_PATH) },
	{ "newfstatat", FRONT | TRACER, IF_HAS(3, AT_EMPTY_PATH) },
	{ "statx", FRONT | TRACER, IF_HAS(2, AT_EMPTY_PATH) },
	{ "lseek", FRONT | TRACER, ANYHOW },
	{ "_llseek", FRONT | TRACER, ANYHOW },
	{ "ftruncate", TRACER, ANYHOW },
	{ "ftruncate64", TRACER, ANYHOW },

	/* tracer: threads, and the reader's rank that is the writer's not. */
	{ "clone", TRACER, IF_HAS(0, THREAD) },
	{ "set_robust_list", TRACER, ANYHOW },
	{ "rseq", TRACER, ANYHOW },
	{ "sched_setscheduler", TRACER, IF_IS(1, SCHED_OTHER) },
	{ "eventfd2", TRACER, ANYHOW },
	{ "prctl", TRACER, IF_IS(0, PR_SET_NAME) },

	/* The packet sockets: the end of a capture, and an interface gone. */
	{ "getsockname", TRACER | RELAY, ANYHOW },
	{ "setsockopt", TRACER, IF_IS(2, SO_ATTACH_FILTER) },
	{ "ioctl", TRACER, IF_IS(1, SIOCGIFFLAGS) },
	{ "ioctl", TRACER, IF_IS(1, SIOCGIFINDEX) },
	{ "ioctl", TRACER, IF_IS(1, SIOCGIFNAME) },

	/* To end in time if keeper has. */
	{ "getppid", TRACER, ANYHOW },
	{ "prctl", TRACER, IF_IS(0, PR_SET_PDEATHSIG) },
	{ "timer_create", TRACER, ANYHOW },
	{ "timer_settime", TRACER, ANYHOW },
	{ "timer_settime64", TRACER, ANYHOW },

	/* relay: connections to the Internet, and from inside. */
	{ "epoll_create1", RELAY, ANYHOW },
	{ "epoll_ctl", RELAY, ANYHOW },
	{ "epoll_wait", RELAY, ANYHOW },
	{ "epoll_pwait", RELAY, ANYHOW },
	{ "accept", RELAY, ANYHOW },
	{ "accept4", RELAY, ANYHOW },
	{ "socket", RELAY, IF_IS(0, AF_INET) },
	{ "socket", RELAY, IF_IS(0, AF_INET6) },
	{ "bind", RELAY, ANYHOW },
	{ "connect", RELAY, ANYHOW },
	{ "listen", RELAY, ANYHOW },
	{ "setsockopt", RELAY, ANYHOW },
	/* Whether somebody listens there is asked of sock_diag(7). */
	{ "socket", RELAY, IF_IS(0, AF_NETLINK) },
	{ "getrlimit", RELAY, ANYHOW },
	{ "ugetrlimit", RELAY, ANYHOW },
	{ "setrlimit", RELAY, ANYHOW },
	{ "prlimit64", RELAY, IF_IS(0, 0) },

#ifdef SANITIZED
	/* What sanitizers do to see, to tell and to look for leaks. */
	{ "access", EACH, ANYHOW },
	{ "clone", EACH, ANYHOW },
	{ "dup", EACH, ANYHOW },
	{ "dup2", EACH, ANYHOW },
	{ "fcntl", EACH, ANYHOW },
	{ "fstat", EACH, ANYHOW },
	{ "getcwd", EACH, ANYHOW },
	{ "getdents", EACH, ANYHOW },
	{ "getdents64", EACH, ANYHOW },
	{ "getppid", EACH, ANYHOW },
	{ "getrlimit", EACH, ANYHOW },
	{ "getrusage", EACH, ANYHOW },
	{ "ioctl", EACH, IF_IS(1, TCGETS) },
	{ "kill", EACH, ANYHOW },
	{ "lseek", EACH, ANYHOW },
	{ "lstat", EACH, ANYHOW },
	{ "mincore", EACH, ANYHOW },
	{ "newfstatat", EACH, ANYHOW },
	{ "open", EACH, ANYHOW },
	{ "openat", EACH, ANYHOW },
	{ "pipe", EACH, ANYHOW },
	{ "pipe2", EACH, ANYHOW },
	{ "prctl", EACH, ANYHOW },
	{ "pread64", EACH, ANYHOW },
	{ "prlimit64", EACH, ANYHOW },
	{ "process_vm_readv", EACH, ANYHOW },
	{ "ptrace", EACH, ANYHOW },
	{ "readlink", EACH, ANYHOW },
	{ "readlinkat", EACH, ANYHOW },
	{ "sched_yield", EACH, ANYHOW },
	{ "set_robust_list", EACH, ANYHOW },
	{ "sigaltstack", EACH, ANYHOW },
	{ "stat", EACH, ANYHOW },
	{ "sysinfo", EACH, ANYHOW },
	{ "uname", EACH, ANYHOW },
	{ "wait4", EACH, ANYHOW },
#endif

	{ NULL, 0, ANYHOW },
};

/*
 * What a C library only tries: it does without where there is no such call.
 * clone3(2) hides from us whether it is to make a thread.
 */
const struct sandbox_rule sandbox_denied[] = {
	{ "clone3", EACH, ANYHOW },
	{ "close_range", EACH, ANYHOW },
	{ "faccessat2", EACH, ANYHOW },
	{ "membarrier", EACH, ANYHOW },
	{ "openat2", EACH, ANYHOW },
#ifndef SANITIZED
	/* How many processors there are, of which glibc 2.33 made files. */
	{ "open", TRACER | RELAY, ANYHOW },
	{ "openat", TRACER | RELAY, ANYHOW },
#endif

	{ NULL, 0, ANYHOW },
};
