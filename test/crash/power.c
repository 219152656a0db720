/*
 * Power loss, made of what the kernel has: "power lose DIR" shuts down the ext4 or XFS file system that
 * holds DIR without flushing anything, not even its journal (what xfstests calls godown -f): all that
 * was not made durable is gone at the next mount. "power writeback FILE" starts and waits for the
 * write-back of a file's dirty pages without making them durable (no journal commit, no flush), so
 * that data reaches the disk out of order before the loss.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define FS_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define FLAG_NO_LOG_FLUSH 2

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "power lose DIR | power writeback FILE\n");
    return 2;
  }
  int fd = open(argv[2], O_RDONLY);
  if (fd < 0) {
    fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
    return 1;
  }
  uint32_t flag = FLAG_NO_LOG_FLUSH;
  unsigned all =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  int lose = strcmp(argv[1], "lose") == 0;
  int result = lose ? ioctl(fd, FS_IOC_SHUTDOWN, &flag) : sync_file_range(fd, 0, 0, all);
  if (result != 0) fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
  return result == 0 ? 0 : 1;
}
