/* What the harness puts between a process and its machine (LD_PRELOAD): a clock that steps, a disk that
 * is slow, full, read-only or fails a flush, and a record of what was written but not yet flushed.
 *
 * All of it is steered through one shared file (shim.py has the same layout), so that it may change
 * while the processes run and outlives a kill -9. Only files below `home` are touched. What it never
 * does: hold a lock that a killed process could leave behind in the shared file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FILES 128
#define RANGES 4096
#define VICTIMS 64

struct range { int64_t offset, length; };
struct file {              /* writes of one process to one file since its last flush */
    uint64_t inode;
    int32_t pid;
    uint32_t count;        /* above RANGES: so many were written that they are not known */
    char path[256];
    struct range ranges[RANGES];
};
struct victim { uint64_t inode; int64_t pid; };
struct control {
    int64_t clock_shift_ns;
    int64_t sync_delay_us;
    int64_t disk_errno;    /* 0, or what every write answers */
    int64_t no_space_told; /* statvfs says that nothing is free */
    int64_t syncs_to_fail;
    uint64_t syncs, slow_syncs, failed_syncs, repeated_syncs, refused_writes, shifted_looks;
    char failing[64];      /* the flushes to fail: of files whose path has this in it, or with a $ behind ends so */
    char home[512];
    struct victim victims[VICTIMS];
    struct file files[FILES];
};

static struct control *shared;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)
#define COUNT(what) __atomic_add_fetch(&shared->what, 1, __ATOMIC_RELAXED)

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("TORTURE_CONTROL");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *at = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED) shared = at;
}

/* The path of an open regular file below home; 0 for everything else. */
static int ours(int fd, char *path, size_t size, struct stat *found)
{
    char link[40] = "/proc/self/fd/";
    char digits[12];
    int n = 0, at = 14, number = fd, saved = errno;
    if (!shared || fd < 0 || fstat(fd, found) || !S_ISREG(found->st_mode)) { errno = saved; return 0; }
    do digits[n++] = '0' + number % 10; while (number /= 10);
    while (n) link[at++] = digits[--n];
    link[at] = 0;
    ssize_t length = readlink(link, path, size - 1);
    errno = saved;
    if (length <= 0) return 0;
    path[length] = 0;
    return strncmp(path, shared->home, strlen(shared->home)) == 0;
}

static int ends(const char *text, const char *with)
{
    size_t a = strlen(text), b = strlen(with);
    return a >= b && strcmp(text + a - b, with) == 0;
}

/* ---- what is written and not flushed ---- */

static struct file *slot(const struct stat *found, const char *path)
{
    int pid = getpid();
    struct file *empty = NULL;
    for (int i = 0; i < FILES; i++) {
        struct file *f = &shared->files[i];
        if (f->pid == pid && f->inode == found->st_ino) return f;
        if (!empty && !f->count && !f->pid) empty = f;
    }
    int32_t nobody = 0;
    if (!empty || !__atomic_compare_exchange_n(&empty->pid, &nobody, pid, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return NULL;
    empty->inode = found->st_ino;
    size_t length = strnlen(path, sizeof(empty->path) - 1);
    memcpy(empty->path, path, length);
    empty->path[length] = 0;
    return empty;
}

static void wrote(int fd, int64_t offset, int64_t length)
{
    char path[512];
    struct stat found;
    if (length <= 0 || !ours(fd, path, sizeof path, &found)) return;
    if (!ends(path, ".db") && !ends(path, "-wal")) return;
    pthread_mutex_lock(&mutex);
    struct file *f = slot(&found, path);
    if (f) {
        if (f->count < RANGES) f->ranges[f->count] = (struct range){offset, length};
        __atomic_add_fetch(&f->count, 1, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&mutex);
}

static void flushed(uint64_t inode)
{
    for (int i = 0; i < FILES; i++) {
        struct file *f = &shared->files[i];
        if (f->pid && f->inode == inode) {
            __atomic_store_n(&f->count, 0, __ATOMIC_SEQ_CST);
            __atomic_store_n(&f->pid, 0, __ATOMIC_SEQ_CST);
        }
    }
}

/* ---- flushes ---- */

static int is_meant(const char *path)
{
    char wanted[sizeof shared->failing];
    memcpy(wanted, shared->failing, sizeof wanted);
    size_t length = strnlen(wanted, sizeof wanted - 1);
    wanted[length] = 0;
    if (!length) return 0;
    if (wanted[length - 1] != '$') return strstr(path, wanted) != NULL;
    wanted[length - 1] = 0;
    return ends(path, wanted);
}

static int fails(const char *path, const struct stat *found)
{
    if (!is_meant(path)) return 0;
    int64_t left = __atomic_load_n(&shared->syncs_to_fail, __ATOMIC_SEQ_CST);
    if (left <= 0 || !__atomic_compare_exchange_n(&shared->syncs_to_fail, &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return 0;
    uint64_t n = COUNT(failed_syncs) - 1;
    shared->victims[n % VICTIMS] = (struct victim){found->st_ino, getpid()};
    return 1;
}

static int is_repeated(const struct stat *found)
{
    for (int i = 0; i < VICTIMS; i++)
        if (shared->victims[i].pid == getpid() && shared->victims[i].inode == found->st_ino) return 1;
    return 0;
}

static int sync_with(int (*real)(int), int fd)
{
    char path[512];
    struct stat found;
    if (!ours(fd, path, sizeof path, &found)) return real(fd);
    COUNT(syncs);
    if (is_repeated(&found)) COUNT(repeated_syncs);
    if (fails(path, &found)) { errno = EIO; return -1; }
    if (shared->sync_delay_us > 0) {
        COUNT(slow_syncs);
        usleep(shared->sync_delay_us);
    }
    int result = real(fd);
    if (result == 0) flushed(found.st_ino);
    return result;
}

int fsync(int fd) { REAL(int, "fsync", int); return sync_with(real, fd); }
int fdatasync(int fd) { REAL(int, "fdatasync", int); return sync_with(real, fd); }

/* ---- writes ---- */

/* Octets that may still be written: some of them on a disk that runs full, which says so at the next call. */
static ssize_t refused(int fd, size_t size)
{
    char path[512];
    struct stat found;
    if (!shared || !shared->disk_errno || !ours(fd, path, sizeof path, &found)) return size;
    COUNT(refused_writes);
    if (shared->disk_errno == ENOSPC && size > 8192) return size / 2;
    errno = shared->disk_errno;
    return -1;
}

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    ssize_t allowed = refused(fd, size);
    if (allowed < 0) return -1;
    off_t at = shared ? lseek(fd, 0, SEEK_CUR) : -1;
    ssize_t done = real(fd, data, allowed);
    int saved = errno;
    if (at >= 0) wrote(fd, at, done);
    errno = saved;
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    ssize_t allowed = refused(fd, size);
    if (allowed < 0) return -1;
    ssize_t done = real(fd, data, allowed, at);
    int saved = errno;
    wrote(fd, at, done);
    errno = saved;
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

int ftruncate64(int fd, off64_t size)
{
    REAL(int, "ftruncate64", int, off64_t);
    return refused(fd, 1) < 0 ? -1 : real(fd, size);
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int may_open(const char *path, int flags)
{
    if (!shared || shared->disk_errno != EROFS || (flags & O_ACCMODE) == O_RDONLY) return 1;
    if (strncmp(path, shared->home, strlen(shared->home))) return 1;
    COUNT(refused_writes);
    errno = EROFS;
    return 0;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | __O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open64(const char *path, int flags, ...)
{
    REAL(int, "open64", const char *, int, ...);
    MODE(flags)
    return may_open(path, flags) ? real(path, flags, mode) : -1;
}
int open(const char *path, int flags, ...) { MODE(flags) return open64(path, flags, mode); }

int openat64(int at, const char *path, int flags, ...)
{
    REAL(int, "openat64", int, const char *, int, ...);
    MODE(flags)
    return may_open(path, flags) ? real(at, path, flags, mode) : -1;
}
int openat(int at, const char *path, int flags, ...) { MODE(flags) return openat64(at, path, flags, mode); }

/* What was written to a file that is gone is of no interest to whoever gets its inode next. */
int unlink(const char *path)
{
    REAL(int, "unlink", const char *);
    struct stat found;
    int known = shared && stat(path, &found) == 0;
    int result = real(path);
    if (known && result == 0) flushed(found.st_ino);
    return result;
}

static void nothing_free(struct statvfs *found)
{
    if (shared && shared->no_space_told) found->f_bavail = found->f_bfree = 0;
}

int statvfs64(const char *path, struct statvfs64 *found)
{
    REAL(int, "statvfs64", const char *, struct statvfs64 *);
    int result = real(path, found);
    nothing_free((struct statvfs *)found); /* the same layout on 64-bit machines */
    return result;
}

int fstatvfs64(int fd, struct statvfs64 *found)
{
    REAL(int, "fstatvfs64", int, struct statvfs64 *);
    int result = real(fd, found);
    nothing_free((struct statvfs *)found);
    return result;
}

/* ---- the clock ---- */

static int64_t shift(void)
{
    int64_t ns = shared ? __atomic_load_n(&shared->clock_shift_ns, __ATOMIC_RELAXED) : 0;
    if (ns) COUNT(shifted_looks);
    return ns;
}

int clock_gettime(clockid_t which, struct timespec *now)
{
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int result = real(which, now);
    if (result || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)) return result;
    int64_t ns = now->tv_sec * 1000000000LL + now->tv_nsec + shift();
    now->tv_sec = ns / 1000000000LL;
    now->tv_nsec = ns % 1000000000LL;
    return 0;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told) *told = now.tv_sec;
    return now.tv_sec;
}
