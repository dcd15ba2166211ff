/*
 * MDB_PANIC and back (M18, D06): the environment is opened again in the process. The panic is a real one: the descriptor through
 * which LMDB writes its meta page is replaced by one for reading only, until the environment is opened anew.
 */
#include "storage/engine_impl.h"
#include "storage/key.h"
#include "storage/record.h"
#include "storage/tab_message.h"
#include "storage/writer.h"
#include "base/fault.h"
#include "tests/unit/storage_both.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct store *open_dir(const char *name)
{
	struct store_options o = { .map_bytes = 1 << 20 };
	struct store *s = NULL;
	struct err_msg msg = { "" };
	char dir[300];

	snprintf(dir, sizeof(dir), "%s/%s", test_tmpdir(), name);
	if (store_open_lmdb(dir, &o, &s, &msg))
		diag("%s", msg.text);
	return s;
}

/* The next commit of the store in this directory fails at its last step. False: no such descriptor. */
static bool break_meta(const char *name)
{
	char want[300], link[64], path[400];
	bool broken = false;

	snprintf(want, sizeof(want), "/%s/data.mdb", name);
	for (int fd = 3; fd < 200; fd++) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, path, sizeof(path) - 1);
		int flags = fcntl(fd, F_GETFL);

		path[n > 0 ? n : 0] = 0;
		if (flags < 0 || !(flags & O_DSYNC) || !strstr(path, want))
			continue;
		int other = open("/dev/null", O_RDONLY | O_CLOEXEC);

		broken = dup2(other, fd) == fd;
		close(other);
	}
	return broken;
}

static int put_number(struct txn *t, void *ctx)
{
	struct recw w;
	struct key k;

	recw_init(&w, 100);
	recw_begin(&w, 1);
	recw_u64(&w, *(unsigned *)ctx);
	key_init(&k);
	key_u32(&k, *(unsigned *)ctx);
	txn_put(t, TAB_TEST, key_str(&k), recw_finish(&w), 0);
	recw_clear(&w);
	return 0;
}

static int put_nr(struct store *s, unsigned nr)
{
	return store_apply(s, put_number, &nr);
}

/* 0 found, ERR_NOT_FOUND, or why reading failed. */
static int get_nr(struct store *s, unsigned nr)
{
	struct txn *t = txn_read(s);
	struct key k;
	struct str v;

	key_init(&k);
	key_u32(&k, nr);
	int err = txn_get(t, TAB_TEST, key_str(&k), &v);

	txn_abort(t);
	return err;
}

static uint64_t reopens(struct store *s)
{
	struct store_info i;

	store_get_info(s, &i);
	return i.reopens;
}

TEST(the_commit_fails_and_the_store_goes_on)
{
	struct store *s = open_dir("go_on");

	require(s, "opens");
	is_int(put_nr(s, 1), 0);
	ok(break_meta("go_on"), "meta page cannot be written");
	is_int(put_nr(s, 2), ERR_IO);
	ok(!store_down(s) && !store_panicked(s), "opened again at once");
	is_int(s->fate_unknown, false);
	is_int(reopens(s), 1);
	is_int(get_nr(s, 1), 0);
	is_int(get_nr(s, 2), ERR_NOT_FOUND);
	is_int(put_nr(s, 3), 0);
	is_int(get_nr(s, 3), 0);
	is_int(store_reader_check(s), 0);
	store_close(s);
	s = open_dir("go_on");
	require(s, "opens after the end");
	is_int(get_nr(s, 1), 0);
	is_int(get_nr(s, 2), ERR_NOT_FOUND);
	is_int(get_nr(s, 3), 0);
	store_close(s);
}

/* A reader that does not end keeps the environment open: nothing works, then all is well again, and the reader's data stay readable. */
TEST(waits_for_readers)
{
	struct store *s = open_dir("readers");

	require(s, "opens");
	is_int(put_nr(s, 1), 0);
	struct txn *t = txn_read(s);
	struct key k;
	struct str v;

	key_init(&k);
	key_u32(&k, 1);
	ok(break_meta("readers"), "meta page cannot be written");
	is_int(put_nr(s, 2), ERR_IO);
	ok(s->fate_unknown, "nobody knows");
	ok(store_down(s) && !store_panicked(s), "down");
	is_int(put_nr(s, 2), ERR_IO);
	is_int(txn_get(t, TAB_TEST, key_str(&k), &v), 0);
	txn_abort(t);
	while (store_down(s)) /* each try comes 100 ms after the last */
		store_recover(s);
	is_int(get_nr(s, 1), 0);
	is_int(get_nr(s, 2), ERR_NOT_FOUND);
	is_int(put_nr(s, 2), 0);
	store_close(s);
}

/* The commit that was told as failed is in the file: this process must end, the next one has the data. */
TEST(landed_all_the_same)
{
	struct store *s = open_dir("landed");

	require(s, "opens");
	is_int(put_nr(s, 1), 0);
	fault_set("store.panic", 1, 1);
	is_int(put_nr(s, 2), ERR_IO);
	fault_set("store.panic", 0, 0);
	ok(s->fate_unknown, "it must not be repeated");
	ok(store_panicked(s), "only a restart helps");
	is_int(put_nr(s, 3), ERR_IO);
	is_int(get_nr(s, 1), ERR_IO);
	store_recover(s);
	ok(store_panicked(s), "still");
	ok(store_reader_check(s) < 0, "no check of readers without environment");
	store_close(s);
	s = open_dir("landed");
	require(s, "opens after the restart");
	is_int(get_nr(s, 2), 0);
	is_int(get_nr(s, 3), ERR_NOT_FOUND);
	store_close(s);
}

/* --- messages: not doubled when sent again --- */

struct sent {
	uint64_t gid;
	int err;
};

static int append(struct txn *t, void *ctx)
{
	struct sent *sent = ctx;
	struct message_rec m = { .conv = 7,
				 .author = 1,
				 .recipient = 2,
				 .flags = MESSAGE_STORE,
				 .from = STR("a@x/r"),
				 .to = STR("b@x"),
				 .origin_id = STR("the same"),
				 .payload = STR("<body>one</body>") };

	sent->err = message_append(t, &m, 1000000, 100);
	sent->gid = m.gid;
	return 0;
}

static unsigned messages(struct store *s)
{
	struct txn *t = txn_read(s);
	struct scan sc;
	unsigned n = 0;

	scan_open(&sc, t, TAB_MESSAGE, STR_NONE, STR_NONE);
	while (scan_next(&sc))
		n++;
	scan_close(&sc);
	txn_abort(t);
	return n;
}

TEST(sent_again_stored_once)
{
	struct store *s = open_dir("again");
	struct sent first = { 0 }, second = { 0 }, third = { 0 };

	require(s, "opens");
	ok(break_meta("again"), "meta page cannot be written");
	is_int(store_apply(s, append, &first), ERR_IO);
	is_int(messages(s), 0);
	is_int(store_apply(s, append, &second), 0);
	is_int(second.err, 0);
	is_int(second.gid, 1);
	is_int(store_apply(s, append, &third), 0);
	is_int(third.err, ERR_EXISTS);
	is_int(messages(s), 1);
	store_close(s);
	message_caches_drop();
}

TEST(landed_sent_again_stored_once)
{
	struct store *s = open_dir("landed_again");
	struct sent first = { 0 }, second = { 0 };

	require(s, "opens");
	fault_set("store.panic", 1, 1);
	is_int(store_apply(s, append, &first), ERR_IO);
	fault_set("store.panic", 0, 0);
	store_close(s);
	message_caches_drop();
	s = open_dir("landed_again");
	require(s, "opens after the restart");
	is_int(store_apply(s, append, &second), 0);
	is_int(second.err, ERR_EXISTS);
	is_int(second.gid, first.gid);
	is_int(messages(s), 1);
	store_close(s);
	message_caches_drop();
}

/* --- the writer --- */

struct op {
	struct write_op op;
	unsigned nr;
	int result;
	bool done;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t posted = PTHREAD_COND_INITIALIZER;
static struct write_batch *waiting[100];
static unsigned waiting_n;

static void post(void *ctx, unsigned worker, struct write_batch *batch)
{
	(void)ctx;
	(void)worker;
	pthread_mutex_lock(&lock);
	waiting[waiting_n++] = batch;
	pthread_cond_signal(&posted);
	pthread_mutex_unlock(&lock);
}

static int apply(struct txn *t, struct write_op *op)
{
	return put_number(t, &((struct op *)op)->nr);
}

static void done(struct write_op *op, int err, unsigned worker)
{
	struct op *o = (struct op *)op;

	(void)worker;
	o->result = err;
	o->done = true;
}

static void keep(struct write_op *op)
{
	(void)op; /* on the test's stack */
}

/* The result of one op through the writer. */
static int write_nr(struct writer *w, unsigned nr)
{
	struct op o = { .op = { .apply = apply, .done = done, .free = keep, .targets = 1 }, .nr = nr };

	writer_submit(w, &o.op);
	pthread_mutex_lock(&lock);
	while (!o.done) {
		while (!waiting_n)
			pthread_cond_wait(&posted, &lock);
		struct write_batch *b = waiting[--waiting_n];

		pthread_mutex_unlock(&lock);
		writer_deliver(b, 0);
		pthread_mutex_lock(&lock);
	}
	pthread_mutex_unlock(&lock);
	return o.result;
}

struct reader {
	struct store *s;
	pthread_t thread;
	atomic_bool stop;
	unsigned reads, failed;
};

static void *read_all_the_time(void *arg)
{
	struct reader *r = arg;

	while (!r->stop) {
		struct store_info i;

		r->failed += get_nr(r->s, 1) != 0;
		r->reads++;
		store_get_info(r->s, &i);
		store_reader_check(r->s);
	}
	return NULL;
}

/* Nobody notices: the writer repeats what is known not to be stored, readers wait for the moment. */
TEST(writer_and_readers_go_on)
{
	struct store *s = open_dir("threads");
	struct reader r[2];
	unsigned told = 0;

	require(s, "opens");
	is_int(put_nr(s, 1), 0);
	for (unsigned i = 0; i < 2; i++) {
		r[i] = (struct reader){ .s = s };
		pthread_create(&r[i].thread, NULL, read_all_the_time, &r[i]);
	}
	struct writer *w = writer_new(s, post, NULL);

	is_int(writer_start(w), 0);
	for (unsigned nr = 10; nr < 20; nr++) {
		int err = write_nr(w, nr);

		/* Panics one after the other hold writes off for 100 ms: refused then, and nothing of it stored. */
		told += err && err != ERR_IO;
		told += get_nr(s, nr) != (err ? ERR_NOT_FOUND : 0);
		while (err)
			err = write_nr(w, nr);
		is_int(get_nr(s, nr), 0);
		ok(break_meta("threads"), "meta page cannot be written");
	}
	is_int(told, 0);
	ok(reopens(s) >= 9, "%llu times", (unsigned long long)reopens(s));
	ok(writer_take_trouble(w) == ERR_IO && writer_take_trouble(w) == 0, "told once, for the log");
	writer_stop(w);
	for (unsigned i = 0; i < 2; i++) {
		r[i].stop = true;
		pthread_join(r[i].thread, NULL);
		is_int(r[i].failed, 0);
		ok(r[i].reads, "%u reads", r[i].reads);
	}
	store_close(s);
}

/* It cannot be opened again (no descriptors) for a while: errors, no answer left out, then the idle writer brings it back for readers. */
TEST(comes_back_for_readers_only)
{
	struct store *s = open_dir("idle");
	struct rlimit had, none;

	require(s, "opens");
	is_int(put_nr(s, 1), 0);
	struct writer *w = writer_new(s, post, NULL);

	is_int(writer_start(w), 0);
	ok(break_meta("idle"), "meta page cannot be written");
	getrlimit(RLIMIT_NOFILE, &had);
	none = (struct rlimit){ 3, had.rlim_max };
	is_int(setrlimit(RLIMIT_NOFILE, &none), 0);
	is_int(write_nr(w, 2), ERR_IO);
	is_int(write_nr(w, 3), ERR_IO);
	ok(store_down(s) && !store_panicked(s), "down");
	is_int(writer_health(w), ERR_IO);
	is_int(get_nr(s, 1), ERR_IO);
	is_int(setrlimit(RLIMIT_NOFILE, &had), 0);
	while (get_nr(s, 1)) /* nobody writes */
		;
	is_int(get_nr(s, 2), ERR_NOT_FOUND);
	is_int(write_nr(w, 2), 0);
	is_int(writer_health(w), 0);
	writer_stop(w);
	store_close(s);
}
