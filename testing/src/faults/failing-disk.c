/* Preloaded into a process: while the file named by LFO_TEST_EIO exists, the disk fails under its database. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(int fd) {
  const char *flag = getenv("LFO_TEST_EIO");
  if (flag == NULL || access(flag, F_OK) != 0) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (strstr(path, "/lfo.db") == NULL) return 0;
  errno = EIO;
  return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pread64(int fd, void *to, size_t count, off64_t at) { return fails(fd) ? -1 : NEXT(pread64)(fd, to, count, at); }
ssize_t pwrite64(int fd, const void *from, size_t count, off64_t at) {
  return fails(fd) ? -1 : NEXT(pwrite64)(fd, from, count, at);
}
ssize_t pread(int fd, void *to, size_t count, off_t at) { return fails(fd) ? -1 : NEXT(pread)(fd, to, count, at); }
ssize_t pwrite(int fd, const void *from, size_t count, off_t at) {
  return fails(fd) ? -1 : NEXT(pwrite)(fd, from, count, at);
}
int fsync(int fd) { return fails(fd) ? -1 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return fails(fd) ? -1 : NEXT(fdatasync)(fd); }
