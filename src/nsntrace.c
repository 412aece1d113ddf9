/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nsntrace: run a program in a network namespace of its own, and write down
 * every packet that it, and nothing else, sends and receives.
 */
#include <errno.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/log.h"
#include "doctor.h"
#include "front.h"
#include "options.h"
#include "plan.h"
#include "probe.h"
#include "stale.h"

static int run(const struct options *options)
{
	struct facts facts;
	struct plan plan = { 0 };
	int status = STATUS_FAILED;
	int ret = probe(options, &facts);

	if (!ret)
		ret = plan_make(options, &facts, &plan);
	if (!ret && options->action == ACTION_DRY_RUN) {
		plan_print(&plan, stdout);
		status = fflush(stdout) ? STATUS_FAILED : 0;
	} else if (!ret) {
		status = front_run(&plan);
	} else if (ret == -ENOENT) {
		/* Of all that is probed, only the program can be missing so. */
		status = STATUS_NOT_FOUND;
	}
	/* Not for bad usage; and whoever knew better has said so. */
	if (status == STATUS_FAILED && ret != -EINVAL && !log_hinted())
		hint("nsntrace --doctor tells what is missing");
	plan_free(&plan);
	facts_free(&facts);

	return status;
}

int main(int argc, char **argv)
{
	struct options options;

	log_started();
	if (fd_standard_streams() < 0 ||
	    options_parse(argc, argv, &options) < 0)
		return STATUS_FAILED;

	log_set_level(options.log_level);
	switch (options.action) {
	case ACTION_HELP:
		options_help(stdout);
		return fflush(stdout) ? STATUS_FAILED : 0;
	case ACTION_VERSION:
		printf("nsntrace %s\n", PACKAGE_VERSION);
		return fflush(stdout) ? STATUS_FAILED : 0;
	case ACTION_DOCTOR:
	case ACTION_DOCTOR_JSON:
		return doctor(&options);
	case ACTION_KNOCK:
		return doctor_knock();
	case ACTION_CLEANUP:
		return stale_cleanup() < 0 ? STATUS_FAILED : 0;
	case ACTION_COMPLETION:
		return options_completion(options.completion, stdout) < 0
			       ? STATUS_FAILED
			       : 0;
	default:
		return run(&options);
	}
}
