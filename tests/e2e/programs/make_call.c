/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make_call PID NUMBER: have the process make this system call, without
 * arguments that mean anything, in place of the one that it makes next.
 */
#include <elf.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

static int change_call(pid_t pid, int number)
{
#ifdef __aarch64__
	struct iovec new = { .iov_base = &number, .iov_len = sizeof(number) };

	return ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &new);
#else
	struct user_regs_struct registers;
	struct iovec all = { .iov_base = &registers,
			     .iov_len = sizeof(registers) };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &all))
		return -1;
	registers.orig_rax = number;

	return ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &all);
#endif
}

int main(int argc, char **argv)
{
	pid_t pid = argc == 3 ? atoi(argv[1]) : 0;
	int status;

	if (!pid || ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD) ||
	    ptrace(PTRACE_INTERRUPT, pid, 0, 0) || waitpid(pid, &status, 0) < 0)
		return 2;
	/* From where it was stopped in poll(2), to where it calls that anew. */
	if (ptrace(PTRACE_SYSCALL, pid, 0, 0) || waitpid(pid, &status, 0) < 0 ||
	    !WIFSTOPPED(status))
		return 3;
	if (change_call(pid, atoi(argv[2])) || ptrace(PTRACE_DETACH, pid, 0, 0))
		return 4;

	return 0;
}
