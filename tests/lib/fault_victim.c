/* Makes one kind of call so many times and prints how each went: "ok N" or the error's name. Only for
 * tests/unit/test_fault_preload.c, which runs it below fault_preload.so; built without sanitizers.
 * usage: fault_victim CALL TIMES DIRECTORY */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static char path[4096], other[4200];
static int fd, listener;
static char letters[] = "abcdefgh";
static struct iovec two[2] = { { letters, 4 }, { letters + 4, 4 } };

static long do_write(void)
{
	return write(fd, "abcdefgh", 8);
}
static long do_pwrite(void)
{
	return pwrite(fd, "abcdefgh", 8, 0);
}
static long do_writev(void)
{
	return writev(fd, two, 2);
}
static long do_pwritev(void)
{
	return pwritev(fd, two, 2, 0);
}
static long do_fdatasync(void)
{
	return fdatasync(fd);
}
static long do_fsync(void)
{
	return fsync(fd);
}
static long do_ftruncate(void)
{
	return ftruncate(fd, 100);
}

static long do_open(void)
{
	int f = open(path, O_RDONLY | O_CLOEXEC);

	return f < 0 ? -1 : close(f);
}

static long do_rename(void)
{
	return rename(path, path);
}

static long do_accept(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);
	int c = socket(AF_INET, SOCK_STREAM, 0), s;

	if (!listener) {
		listener = socket(AF_INET, SOCK_STREAM, 0);
		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (bind(listener, (struct sockaddr *)&a, n) || listen(listener, 5))
			return -2;
	}
	if (getsockname(listener, (struct sockaddr *)&a, &n) || connect(c, (struct sockaddr *)&a, n))
		return -2;
	s = accept4(listener, NULL, NULL, 0);
	int saved = errno;
	close(c);
	errno = saved;
	return s < 0 ? -1 : close(s);
}

static long do_getrandom(void)
{
	char b[8];

	return getrandom(b, sizeof(b), 0);
}

static long do_malloc(void)
{
	void *volatile p = malloc(100); /* volatile: the pair must not be optimised away */

	if (!p)
		return -1;
	free(p);
	return 0;
}

/* One committed transaction of several pages, as our store makes them. */
static long do_lmdb(void)
{
	static MDB_env *env;
	static char value[20000];
	MDB_txn *txn;
	MDB_dbi dbi;
	int err = 0;

	if (!env &&
	    ((err = mdb_env_create(&env)) || (err = mdb_env_open(env, other, MDB_NOSUBDIR | MDB_NOTLS, 0600)))) {
		mdb_env_close(env);
		env = NULL;
		goto failed;
	}
	if ((err = mdb_txn_begin(env, NULL, 0, &txn)))
		goto failed;
	value[0]++;
	if ((err = mdb_dbi_open(txn, NULL, 0, &dbi)) ||
	    (err = mdb_put(txn, dbi, &(MDB_val){ 3, letters }, &(MDB_val){ sizeof(value), value }, 0))) {
		mdb_txn_abort(txn);
		goto failed;
	}
	if (!(err = mdb_txn_commit(txn)))
		return 0;
failed:
	errno = err;
	return -1;
}

static const struct {
	const char *name;
	long (*fn)(void);
} ops[] = { { "write", do_write },
	    { "pwrite", do_pwrite },
	    { "writev", do_writev },
	    { "pwritev", do_pwritev },
	    { "fsync", do_fsync },
	    { "fdatasync", do_fdatasync },
	    { "ftruncate", do_ftruncate },
	    { "open", do_open },
	    { "rename", do_rename },
	    { "accept", do_accept },
	    { "malloc", do_malloc },
	    { "getrandom", do_getrandom },
	    { "lmdb", do_lmdb } };

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	setvbuf(stdout, (char[4096]){ 0 }, _IOFBF, 4096); /* its own memory: printing must not call malloc */
	snprintf(path, sizeof(path), "%s/victim.data", argv[3]);
	snprintf(other, sizeof(other), "%s/victim.mdb", argv[3]);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (strcmp(argv[1], ops[i].name) != 0)
			continue;
		for (int n = atoi(argv[2]); n > 0; n--) {
			long r = ops[i].fn();
			if (r < 0)
				printf("%s\n", r == -1 ? strerrorname_np(errno) : "broken");
			else
				printf("ok %ld\n", r);
		}
		return 0;
	}
	return 2;
}
