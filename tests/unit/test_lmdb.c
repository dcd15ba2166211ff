/* What only the LMDB engine has: files, locks, refusals (D09, D10, D12), map growth (D07), schema (D14), backup and check (D13). */
#include "storage/changes.h"
#include "storage/check.h"
#include "storage/engine_impl.h"
#include "storage/migrate.h"
#include "storage/record.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/lib/test.h"
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct err_msg msg;

static const char *sub(const char *name)
{
	static char path[4][300];
	static unsigned n;
	char *p = path[n++ % 4];

	snprintf(p, 300, "%s/%s", test_tmpdir(), name);
	return p;
}

static int open_with(const char *name, struct store_options o, struct store **out)
{
	msg.text[0] = 0;
	return store_open_lmdb(sub(name), &o, out, &msg);
}

static struct store *open_new(const char *name)
{
	struct store *s = NULL;

	is_int(open_with(name, (struct store_options){ .map_bytes = 1 << 20 }, &s), 0);
	return s;
}

static bool says(const char *part)
{
	return strstr(msg.text, part) != NULL;
}

/* A record of about n bytes under the number. */
static void put_rec(struct txn *t, unsigned nr, size_t n)
{
	struct recw w;
	char key[16];

	snprintf(key, sizeof(key), "k%08u", nr);
	recw_init(&w, n + 100);
	recw_begin(&w, 1);
	recw_u64(&w, nr);
	for (size_t i = 0; i < n; i++)
		buf_byte(&w.b, (char)(nr + i));
	txn_put(t, TAB_TEST, str_c(key), recw_finish(&w), 0);
	recw_clear(&w);
}

struct some {
	unsigned from, n, calls;
	size_t bytes;
};

static int put_them(struct txn *t, void *ctx)
{
	struct some *b = ctx;

	b->calls++;
	for (unsigned i = 0; i < b->n; i++)
		put_rec(t, b->from + i, b->bytes);
	return 0;
}

static int put_some(struct store *s, unsigned from, unsigned n, size_t bytes)
{
	return store_apply(s, put_them, &(struct some){ .from = from, .n = n, .bytes = bytes });
}

static unsigned count(struct store *s, enum table tab)
{
	struct txn *t = txn_read(s);
	struct scan sc;
	unsigned n = 0;

	scan_open(&sc, t, tab, STR_NONE, STR_NONE);
	while (scan_next(&sc))
		n++;
	scan_close(&sc);
	txn_abort(t);
	return n;
}

TEST(data_stay)
{
	struct store *s = open_new("stay");

	require(s, "opens");
	is_int(put_some(s, 0, 10, 100), 0);
	store_close(s);
	s = open_new("stay");
	is_int(count(s, TAB_TEST), 10);
	store_close(s);
	struct stat st;

	is_int(stat(sub("stay"), &st), 0);
	is_int(st.st_mode & 0777, 0700);
	is_int(stat(sub("stay/data.mdb"), &st), 0);
	is_int(st.st_mode & 0777, 0600);
}

TEST(second_instance)
{
	struct store *s = open_new("twice"), *other = s;

	is_int(open_with("twice", (struct store_options){ 0 }, &other), ERR_BUSY);
	is_ptr(other, NULL);
	char pid[32];

	snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
	ok(says(pid) && says("stop that one"), "names the process and the cure: %s", msg.text);
	is_int(open_with("twice", (struct store_options){ .read_only = true }, &other), ERR_BUSY);
	store_close(s);
	s = open_new("twice");
	ok(s, "free again");
	store_close(s);
}

TEST(bad_places)
{
	struct store *s;

	is_int(open_with("no/such/parent", (struct store_options){ 0 }, &s), ERR_NOT_FOUND);
	ok(says("make it by hand"), "%s", msg.text);
	int fd = open(sub("file"), O_CREAT | O_WRONLY, 0600);

	close(fd);
	is_int(open_with("file", (struct store_options){ 0 }, &s), ERR_CONFLICT);
	ok(says("not a directory"), "%s", msg.text);
	is_int(open_with("nothing", (struct store_options){ .read_only = true }, &s), ERR_NOT_FOUND);
}

TEST(network_file_systems)
{
	static const uint64_t net[] = { 0x6969, 0xff534d42, 0xfe534d42, 0x517b, 0x65735546 };
	static const uint64_t local[] = { 0xef53 /* ext4 */, 0x58465342 /* xfs */, 0x9123683e /* btrfs */,
					  0x01021994 /* tmpfs */ };
	const char *name;

	for (size_t i = 0; i < sizeof(net) / sizeof(*net); i++)
		ok(fs_is_network(net[i], &name), "%s is refused (D10)", name);
	for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
		ok(!fs_is_network(local[i], &name), "%llx is local", (unsigned long long)local[i]);
}

static void write_file(const char *path, const char *text, size_t n)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	is_int(write(fd, text, n), n);
	close(fd);
}

TEST(foreign_files)
{
	static char noise[20000];
	struct store *s;

	memset(noise, 'n', sizeof(noise));
	mkdir(sub("foreign"), 0700);
	write_file(sub("foreign/data.mdb"), "hello, I am a text", 18);
	is_int(open_with("foreign", (struct store_options){ 0 }, &s), ERR_VERSION);
	ok(says("not a data file of vestnik"), "%s", msg.text);
	write_file(sub("foreign/data.mdb"), noise, sizeof(noise));
	is_int(open_with("foreign", (struct store_options){ 0 }, &s), ERR_VERSION);
	/* An empty file is what a crash at the very first start leaves. */
	write_file(sub("foreign/data.mdb"), "", 0);
	is_int(open_with("foreign", (struct store_options){ 0 }, &s), 0);
	store_close(s);
}

TEST(foreign_lmdb)
{
	MDB_env *env;
	MDB_txn *t;
	MDB_dbi dbi;
	struct store *s;

	mkdir(sub("other"), 0700);
	is_int(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 4);
	is_int(mdb_env_open(env, sub("other"), 0, 0600), 0);
	is_int(mdb_txn_begin(env, NULL, 0, &t), 0);
	is_int(mdb_dbi_open(t, "somebody's", MDB_CREATE, &dbi), 0);
	is_int(mdb_txn_commit(t), 0);
	mdb_env_close(env);
	is_int(open_with("other", (struct store_options){ 0 }, &s), ERR_VERSION);
	ok(says("not a data file of vestnik"), "%s", msg.text);
}

TEST(truncated_file)
{
	struct store *s = open_new("cut");
	struct stat st;

	is_int(put_some(s, 0, 2000, 500), 0);
	store_close(s);
	is_int(stat(sub("cut/data.mdb"), &st), 0);
	for (off_t keep = st.st_size - 4096; keep > 8192; keep -= st.st_size / 5) {
		if (truncate(sub("cut/data.mdb"), keep))
			diag("truncate failed");
		is_int(open_with("cut", (struct store_options){ 0 }, &s), ERR_CORRUPT);
		ok(says("cut off") && says("backup"), "%s", msg.text);
		is_int(open_with("cut", (struct store_options){ .read_only = true }, &s), ERR_CORRUPT);
		struct stat now;

		is_int(stat(sub("cut/data.mdb"), &now), 0);
		is_int(now.st_size, keep);
	}
}

TEST(growth)
{
	struct store *s = open_new("grow");
	struct store_info i;
	unsigned failed = 0;

	for (unsigned n = 0; n < 200; n++)
		failed += put_some(s, n * 20, 20, 8000) != 0; /* 160 KB each into a map of 1 MiB */
	is_int(failed, 0);
	store_get_info(s, &i);
	ok(i.map_bytes >= 64u << 20 && i.growths >= 5 && i.growths <= 8, "map of %llu in %llu steps",
	   (unsigned long long)i.map_bytes, (unsigned long long)i.growths);
	ok(i.used_bytes * 4 <= i.map_bytes * 3 + (1 << 20), "a quarter stays free");
	is_int(count(s, TAB_TEST), 4000);
	store_close(s);
	s = open_new("grow"); /* a small initial map is no trouble for a large file */
	is_int(count(s, TAB_TEST), 4000);
	is_int(put_some(s, 4000, 100, 8000), 0);
	store_close(s);
}

TEST(one_transaction_larger_than_the_map)
{
	struct store *s = open_new("large");
	struct some b = { .n = 2000, .bytes = 8000 };

	is_int(store_apply(s, put_them, &b), 0);
	ok(b.calls > 1, "repeated %u times", b.calls);
	is_int(count(s, TAB_TEST), 2000);
	store_close(s);
}

/* At the maximum: new keys are refused, deletes and overwriting go on, and what was deleted can be used again (M14, D07). */
TEST(map_at_its_maximum)
{
	struct store *s;
	struct txn *t;
	char key[16];
	unsigned n = 0, deleted = 0;
	int err = 0;

	is_int(open_with("max", (struct store_options){ .map_bytes = 1 << 20, .max_map_bytes = 8 << 20 }, &s), 0);
	while (n < 5000 && (err = put_some(s, n, 1, 3000)) == 0)
		n++;
	is_int(err, ERR_NO_SPACE);
	ok(n > 1000 && n < 2700, "%u records fit", n);
	is_int(put_some(s, 5, 1, 3000), 0);
	for (unsigned i = 0; i < 500; i++) {
		t = txn_write(s);
		snprintf(key, sizeof(key), "k%08u", i);
		deleted += txn_del(t, TAB_TEST, str_c(key));
		deleted += txn_commit(t) == 0;
	}
	is_int(deleted, 1000);
	err = 0;
	for (unsigned i = 0; i < 300 && !err; i++)
		err = put_some(s, 100000 + i, 1, 3000);
	is_int(err, 0);
	store_close(s);
}

static void *hold_reader(void *arg)
{
	struct store *s = arg;
	struct txn *t = txn_read(s);
	char key[16];
	struct str v;

	/* Ends when the test has put key "end" and a new reader sees it. */
	for (bool end = false; !end;) {
		struct txn *probe = txn_read(s); /* nested: passes a closed gate */

		snprintf(key, sizeof(key), "end");
		end = txn_get(probe, TAB_META, str_c(key), &v) == 0;
		txn_abort(probe);
	}
	txn_abort(t);
	return NULL;
}

/* M17: while a read transaction is open the map must not move; the writer goes on, in a map that is large enough. */
TEST(growth_waits_for_readers)
{
	struct store *s = open_new("gate");
	struct store_info i, before;
	pthread_t th;

	store_get_info(s, &before);
	pthread_create(&th, NULL, hold_reader, s);
	do
		store_get_info(s, &i);
	while (i.readers == 0);
	is_int(put_some(s, 0, 100, 7900), 0); /* above 75 %, below 90 */
	is_int(put_some(s, 200, 1, 100), 0);
	store_get_info(s, &i);
	is_int(i.map_bytes, before.map_bytes);
	ok(i.growths_failed >= 1, "growth was tried");
	struct txn *t = txn_write(s);

	txn_put(t, TAB_META, STR("end"), STR("1"), 0);
	is_int(txn_commit(t), 0);
	pthread_join(th, NULL);
	clock_set_for_test(clock_mono_us() + 10000000, clock_wall_us()); /* the next soft try is a second away */
	is_int(put_some(s, 201, 1, 100), 0);
	clock_set_for_test(0, 0);
	store_get_info(s, &i);
	ok(i.map_bytes > before.map_bytes, "grown when the reader was gone");
	is_int(count(s, TAB_TEST), 102);
	store_close(s);
}

TEST(reader_slots)
{
	struct store *s;
	struct txn *t[40];
	unsigned failed = 0, wrong = 0;

	is_int(open_with("readers", (struct store_options){ .max_readers = 30 }, &s), 0);
	for (int i = 0; i < 40; i++) {
		t[i] = txn_read(s);
		failed += txn_error(t[i]) == ERR_LIMIT;
	}
	is_int(failed, 10);
	for (int i = 0; i < 40; i++)
		txn_abort(t[i]);
	for (int round = 0; round < 1000; round++) { /* kept slots are used again (D09) */
		struct txn *r = txn_read(s);

		wrong += txn_commit(r) != 0;
	}
	is_int(wrong, 0);
	is_int(store_reader_check(s), 0);
	store_close(s);
}

/* A reader process that was killed leaves its slot; the check clears it (M16, D09). */
TEST(dead_reader)
{
	struct store *s = open_new("dead");
	int pipe_fd[2];
	char c;

	is_int(pipe(pipe_fd), 0);
	pid_t pid = fork();

	if (pid == 0) {
		MDB_env *env; /* another program, such as mdb_dump */
		MDB_txn *t;

		if (mdb_env_create(&env) || mdb_env_open(env, sub("dead"), MDB_RDONLY, 0600) ||
		    mdb_txn_begin(env, NULL, MDB_RDONLY, &t) || write(pipe_fd[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	is_int(read(pipe_fd[0], &c, 1), 1);
	is_int(store_reader_check(s), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	is_int(store_reader_check(s), 1);
	is_int(store_reader_check(s), 0);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	store_close(s);
}

TEST(slow_reads_are_counted)
{
	struct store *s = open_new("slow");
	struct store_info i;

	clock_set_for_test(5000000, 5000000);
	struct txn *t = txn_read(s);

	store_get_info(s, &i);
	is_int(i.readers, 1);
	clock_set_for_test(5101000, 5000000);
	txn_commit(t);
	txn_commit(txn_read(s));
	clock_set_for_test(0, 0);
	store_get_info(s, &i);
	is_int(i.slow_reads, 1);
	is_int(i.readers, 0);
	store_close(s);
}

/* --- schema --- */

TEST(schema)
{
	struct store *s = open_new("schema");
	uint8_t a[32], b[32];
	struct store_info i;
	struct recw w;

	is_int(store_secret(s, a), ERR_NOT_FOUND);
	is_int(migrate_check(s, &msg), 0);
	is_int(store_secret(s, a), 0);
	store_get_info(s, &i);
	is_int(i.schema, SCHEMA_VERSION);
	store_close(s);
	s = open_new("schema");
	is_int(migrate_check(s, &msg), 0);
	is_int(store_secret(s, b), 0);
	is_mem(a, b, 32);
	struct txn *t = txn_write(s);

	recw_init(&w, 100);
	recw_begin(&w, 1);
	recw_u64(&w, SCHEMA_VERSION + 1);
	txn_put(t, TAB_META, STR("schema"), recw_finish(&w), 0);
	is_int(txn_commit(t), 0);
	is_int(migrate_check(s, &msg), ERR_VERSION);
	ok(says("newer vestnik") && says("install"), "%s", msg.text);
	t = txn_write(s);
	txn_put(t, TAB_META, STR("schema"), STR("rubbish"), 0);
	is_int(txn_commit(t), 0);
	is_int(migrate_check(s, &msg), ERR_CORRUPT);
	recw_clear(&w);
	store_close(s);

	struct store *other = open_new("schema2");

	is_int(migrate_check(other, &msg), 0);
	is_int(store_secret(other, b), 0);
	ok(memcmp(a, b, 32) != 0, "each store has its own secret");
	store_close(other);
}

/* --- check and backup --- */

TEST(check_finds_damage)
{
	struct store *s = open_new("check");
	struct check_report r, r2;

	is_int(migrate_check(s, &msg), 0);
	is_int(put_some(s, 0, 2500, 700), 0);
	is_int(store_check(s, &r), 0);
	is_int(r.records[TAB_TEST], 2500);
	is_int(r.records[TAB_META], 2);
	is_int(r.damaged[TAB_TEST], 0);
	is_int(store_check(s, &r2), 0);
	is_mem(r.hash, r2.hash, 32);
	struct txn *t = txn_write(s);

	txn_put(t, TAB_TEST, STR("k00001234"), STR("not a record"), 0);
	is_int(txn_commit(t), 0);
	is_int(store_check(s, &r2), ERR_CORRUPT);
	is_int(r2.records[TAB_TEST], 2500);
	is_int(r2.damaged[TAB_TEST], 1);
	ok(memcmp(r.hash, r2.hash, 32) != 0, "another content, another hash");
	store_close(s);
}

/* D12: flipped bits in the file itself, in pages that hold values: found by the check, never more than that record. */
TEST(bit_rot_in_the_file)
{
	struct store *s = open_new("rot");
	struct check_report r;
	char page[4096];
	unsigned flips = 0;

	is_int(put_some(s, 0, 300, 9000), 0); /* values on overflow pages of their own */
	store_close(s);
	int fd = open(sub("rot/data.mdb"), O_RDWR);

	for (off_t at = 0; flips < 60 && pread(fd, page, sizeof(page), at) == 4096; at += 4096) {
		static const char head[4] = { 0, 0, 0, 0 };
		bool content =
			memcmp(page + 10, head, 4) != 0 && page[200] + 1 == page[201] && page[201] + 1 == page[202];

		if (content && at % 5 == 0) { /* inside a run of counted bytes, so surely a value */
			page[201] ^= 0x10;
			is_int(pwrite(fd, page, sizeof(page), at), 4096);
			flips++;
		}
	}
	close(fd);
	ok(flips > 10, "%u pages damaged", flips);
	is_int(open_with("rot", (struct store_options){ 0 }, &s), 0);
	is_int(store_check(s, &r), ERR_CORRUPT);
	is_int(r.records[TAB_TEST], 300);
	ok(r.damaged[TAB_TEST] > 0 && r.damaged[TAB_TEST] <= flips, "%llu records damaged, the others whole",
	   (unsigned long long)r.damaged[TAB_TEST]);
	store_close(s);
}

static bool same(struct check_report *a, struct check_report *b)
{
	return memcmp(a->hash, b->hash, 32) == 0 && memcmp(a->records, b->records, sizeof(a->records)) == 0;
}

static void backup_and_compare(struct store *s, const char *name)
{
	struct check_report r, rb;
	struct store *b;
	struct stat st;
	char lock[64];

	is_int(store_check(s, &r), 0);
	ok(store_backup(s, sub(name), &msg) == 0, "backup %s", msg.text);
	require(open_with(name, (struct store_options){ .read_only = true }, &b) == 0, "opens %s", msg.text);
	is_int(migrate_check(b, &msg), 0);
	is_int(store_check(b, &rb), 0);
	ok(same(&r, &rb), "the same records");
	struct txn *t = txn_write(b);

	txn_put(t, TAB_TEST, STR("x"), STR("1"), 0);
	is_int(txn_commit(t), ERR_FORBIDDEN);
	store_close(b);
	snprintf(lock, sizeof(lock), "%s/lock.mdb", name);
	ok(stat(sub(lock), &st) != 0, "reading leaves no files in the backup");
	is_int(store_backup(s, sub(name), &msg), ERR_EXISTS);
	ok(says("not empty"), "%s", msg.text);
	/* And back to work from it. */
	is_int(open_with(name, (struct store_options){ 0 }, &b), 0);
	is_int(migrate_check(b, &msg), 0);
	is_int(put_some(b, 900000, 10, 100), 0);
	store_close(b);
}

TEST(backup)
{
	struct store *s = open_new("orig");
	struct txn *t;
	struct scan sc;

	is_int(migrate_check(s, &msg), 0);
	is_int(put_some(s, 0, 3000, 3000), 0);
	t = txn_write(s);
	scan_open(&sc, t, TAB_TEST, STR("k0000"), STR_NONE);
	for (unsigned n = 0; scan_next(&sc); n++)
		if (n % 8)
			txn_del(t, TAB_TEST, sc.key);
	scan_close(&sc);
	is_int(txn_commit(t), 0);
	backup_and_compare(s, "backup");
	struct stat a, b;

	is_int(stat(sub("orig/data.mdb"), &a), 0);
	is_int(stat(sub("backup/data.mdb"), &b), 0);
	ok(b.st_size * 3 < a.st_size, "compact: %lld of %lld bytes", (long long)b.st_size, (long long)a.st_size);
	store_close(s);
}

TEST(backup_of_memory)
{
	struct store *s = store_open_mem();

	is_int(migrate_check(s, &msg), 0);
	is_int(put_some(s, 0, 100, 300), 0);
	backup_and_compare(s, "backup_mem");
	store_close(s);
}

struct load {
	struct store *s;
	_Atomic bool stop;
	unsigned acked;
	int err;
};

static void *write_on(void *arg)
{
	struct load *l = arg;

	while (!l->stop && !l->err) {
		l->err = put_some(l->s, l->acked, 1, 2000);
		if (!l->err)
			l->acked++;
	}
	return NULL;
}

/* D13: under load; what was acknowledged before the backup began is in it, in an unbroken row. */
TEST(backup_under_load)
{
	struct load l = { .s = open_new("load") };
	pthread_t th;
	struct store *b;
	struct check_report r;

	is_int(migrate_check(l.s, &msg), 0);
	is_int(put_some(l.s, 0, 200, 2000), 0);
	l.acked = 200;
	pthread_create(&th, NULL, write_on, &l);
	for (int round = 0; round < 3; round++) {
		char name[20];
		struct store_info before;

		snprintf(name, sizeof(name), "load%d", round);
		store_get_info(l.s, &before);
		ok(store_backup(l.s, sub(name), &msg) == 0, "backup while writing %s", msg.text);
		require(open_with(name, (struct store_options){ .read_only = true }, &b) == 0, "opens %s", msg.text);
		is_int(store_check(b, &r), 0);
		struct txn *t = txn_read(b);
		struct scan sc;
		char last[16];

		scan_open_reverse(&sc, t, TAB_TEST, STR_NONE, STR_NONE);
		ok(scan_next(&sc), "a last one");
		snprintf(last, sizeof(last), "k%08llu", (unsigned long long)r.records[TAB_TEST] - 1);
		is_str(sc.key, str_c(last));
		scan_close(&sc);
		txn_abort(t);
		ok(r.records[TAB_TEST] >= 200, "%llu records", (unsigned long long)r.records[TAB_TEST]);
		store_close(b);
	}
	l.stop = true;
	pthread_join(th, NULL);
	is_int(l.err, 0);
	is_int(count(l.s, TAB_TEST), l.acked);
	store_close(l.s);
}
