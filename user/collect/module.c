// SPDX-License-Identifier: GPL-2.0-or-later
/* The module's directory, its status and its list of processes. */
#include "collect/module.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define DEBUGFS "/sys/kernel/debug"

static const char *root = DEBUGFS "/mallocpath";

void mp_module_use_root(const char *dir)
{
	root = dir ? dir : DEBUGFS "/mallocpath";
}

bool mp_module_there(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/status", root);
	return !access(path, R_OK);
}

static int not_permitted(const char *what, int error, struct mp_err *err)
{
	return mp_fail(
		err, MP_EXIT_LACKS, error,
		"%s: %s; run as root (sudo). Under kernel lockdown the module cannot be used: "
		"docs/MODULE.md",
		what, strerror(error));
}

static bool debugfs_is_mounted(void)
{
	struct statfs fs;

	return !statfs(DEBUGFS, &fs) && fs.f_type == DEBUGFS_MAGIC;
}

/* Why can the module's own files not be opened? */
static int no_module(int error, struct mp_err *err)
{
	struct stat st;

	if (error == EACCES || error == EPERM)
		return not_permitted(root, error, err);
	if (!stat(root, &st))
		return mp_fail(err, MP_EXIT_FAILED, error, "%s cannot be read: %s", root,
			       strerror(error));
	if (errno == EACCES || errno == EPERM)
		return not_permitted(root, errno, err);
	if (!debugfs_is_mounted())
		return mp_fail(err, MP_EXIT_LACKS, ENOENT,
			       "debugfs is not mounted, so the kernel module cannot be read; "
			       "mount -t debugfs none " DEBUGFS);
	return mp_fail(err, MP_EXIT_LACKS, ENOENT,
		       "the kernel module is not loaded: make kmod, then "
		       "insmod build/kmod/$(uname -r)/mallocpath.ko (installed with DKMS: "
		       "modprobe mallocpath); see docs/MODULE.md");
}

static FILE *open_own(const char *name, struct mp_err *err)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	f = fopen(path, "re");
	if (!f)
		no_module(errno, err);
	return f;
}

/* "12": all of it, no sign */
static bool parse_number(const char *text, uint64_t *out)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return !*end && !errno;
}

static void take_status(struct mp_module_status *out, const char *name, const char *value)
{
	uint64_t n;

	if (!strcmp(name, "version"))
		snprintf(out->version, sizeof(out->version), "%.31s", value);
	else if (!strcmp(name, "table"))
		out->full = strcmp(value, "ok") != 0;
	else if (!parse_number(value, &n))
		return;
	else if (!strcmp(name, "faults_missed"))
		out->faults_missed = n;
	else if (!strcmp(name, "faults_unplaced"))
		out->faults_unplaced = n;
	else if (!strcmp(name, "moves_missed"))
		out->moves_missed = n;
}

int mp_module_status(struct mp_module_status *out, struct mp_err *err)
{
	char line[256], name[64], value[64];
	FILE *f = open_own("status", err);
	int error;

	if (!f)
		return -ENOENT;
	*out = (struct mp_module_status){ 0 };
	errno = 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %63s", name, value) == 2)
			take_status(out, name, value);
	error = ferror(f) ? errno : 0;
	fclose(f);
	if (error)
		return mp_fail(err, MP_EXIT_FAILED, error, "%s/status cannot be read: %s", root,
			       strerror(error));
	if (!out->version[0])
		return mp_fail(err, MP_EXIT_FAILED, EBADMSG,
			       "%s/status tells no version: it is not this kernel module's", root);
	return 0;
}

/* 0 or -errno; signals are somebody else's business. */
static int write_track(const char *text)
{
	char path[256];
	int fd, error;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/track", root);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do
		n = write(fd, text, strlen(text));
	while (n < 0 && errno == EINTR);
	error = n < 0 ? -errno : 0;
	close(fd);
	return error;
}

static bool has_directory(pid_t pid)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%d", root, pid);
	return !stat(path, &st);
}

static int cannot_track(pid_t pid, int error, struct mp_err *err)
{
	char what[256];

	switch (error) {
	case ESRCH:
		return mp_fail(err, MP_EXIT_FAILED, error,
			       "process %d does not exist, or has no memory of its own (a kernel "
			       "thread); list with ps -e",
			       pid);
	case EEXIST:
		return mp_fail(err, MP_EXIT_FAILED, error,
			       "process %d shares the memory of another that the kernel module "
			       "tracks (vfork): look at that one, see %s/track",
			       pid, root);
	case ENOSPC:
	case ENOMEM:
		return mp_fail(
			err, MP_EXIT_FAILED, error,
			"the kernel module has no room for process %d: too much is tracked. "
			"See %s/status; stop some with echo -PID >%s/track, or load it with a "
			"larger memory_limit",
			pid, root, root);
	case EPERM:
	case EACCES:
		snprintf(what, sizeof(what), "%s/track", root);
		return not_permitted(what, error, err);
	case ENOENT:
		return no_module(error, err);
	}
	return mp_fail(err, MP_EXIT_FAILED, error, "%s/track refuses process %d: %s", root, pid,
		       strerror(error));
}

int mp_module_track(pid_t pid, struct mp_err *err)
{
	char text[16];
	int rc;

	snprintf(text, sizeof(text), "%d", pid);
	rc = write_track(text);
	if (rc == -EEXIST && has_directory(pid))
		return 0;
	return rc ? cannot_track(pid, -rc, err) : 1;
}

void mp_module_untrack(pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "-%d", pid);
	write_track(text); /* where it fails the process has ended */
}

FILE *mp_module_open(pid_t pid, const char *name, struct mp_err *err)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%d/%s", root, pid, name);
	f = fopen(path, "re");
	if (f)
		return f;
	if (errno == ENOENT || errno == EIO)
		mp_fail(err, MP_EXIT_FAILED, ESRCH,
			"process %d ended, or is tracked by the kernel module no more", pid);
	else if (errno == EPERM || errno == EACCES)
		not_permitted(path, errno, err);
	else
		mp_fail(err, MP_EXIT_FAILED, errno, "%s: %s", path, strerror(errno));
	return NULL;
}

/* Since when is it tracked? */
static uint64_t tracked_since(pid_t pid)
{
	uint64_t since = MP_MODULE_NONE, at;
	FILE *f = open_own("track", NULL);
	char line[256];
	int nr;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%d %" SCNu64, &nr, &at) == 2 && nr == pid)
			since = at;
	if (f)
		fclose(f);
	return since;
}

int mp_module_vmas(pid_t pid, struct mp_module_vmas *out, struct mp_err *err)
{
	FILE *f = mp_module_open(pid, "vmas", err);
	size_t line = 0;
	int rc;

	if (!f)
		return -ESRCH;
	rc = mp_module_vmas_parse(f, out, &line);
	fclose(f);
	if (!rc)
		out->since_ns = tracked_since(pid);
	if (rc == -EBADMSG)
		return mp_fail(
			err, MP_EXIT_FAILED, EBADMSG,
			"%s/%d/vmas makes no sense in line %zu: are the module and mallocpath "
			"of the same version?",
			root, pid, line);
	if (rc)
		return mp_fail(err, MP_EXIT_FAILED, -rc, "%s/%d/vmas: %s", root, pid,
			       rc == -EIO ? "the process ended" : strerror(-rc));
	return 0;
}
