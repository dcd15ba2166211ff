/*
 * The storage of the server alone: messages are appended by the same writer thread and message_append() that the server uses,
 * with full sync. The caller's thread plays the one worker that gets the completions.
 */
#include "bench/rig.h"
#include "base/clock.h"
#include "base/mem.h"
#include "storage/migrate.h"
#include "storage/tab_account.h"
#include "storage/tab_message.h"
#include "storage/tab_org.h"
#include "storage/writer.h"
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>

enum { RING = 4096, PEOPLE_PER_DEPARTMENT = 20, ACCOUNTS_PER_OP = 500 };

struct rig_op {
	struct write_op op;
	uint32_t first, n; /* number of the message, or accounts first..first+n-1 */
	struct str domain;
};
static struct {
	struct store *store;
	struct writer *writer;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct write_batch *batches[RING];
	unsigned head, tail, pairs, active, wave;
	struct scram_keys keys[HASH_KINDS]; /* of every account */
	uint32_t number;
	uint64_t done;
} rig = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

static int message_apply(struct txn *t, struct write_op *op)
{
	uint32_t number = ((struct rig_op *)op)->first;
	uint32_t pair = (uint32_t)((uint64_t)number * 7919 % rig.active) * (rig.pairs / rig.active) + rig.wave;
	char id[32];
	int n = snprintf(id, sizeof id, "m%u", number);
	struct message_rec m = { .author = 2 * pair + 1,
				 .recipient = 2 * pair + 2,
				 .type = 1,
				 .conv = (uint64_t)(2 * pair + 1) << 32 | (2 * pair + 2),
				 .flags = MESSAGE_STORE | MESSAGE_COUNTS,
				 .from = STR("boris@example.org/Gajim.K2"),
				 .to = STR("anna.petrova@example.org"),
				 .id = str_of(id, (size_t)n),
				 .origin_id = str_of(id, (size_t)n),
				 .payload = STR("<body>The quarterly figures are on the share, please have a look "
						"before the meeting.</body>") };
	return message_append(t, &m, clock_wall_us(), 65536);
}

static int accounts_apply(struct txn *t, struct write_op *op)
{
	struct rig_op *o = (struct rig_op *)op;
	int err = 0;
	for (uint32_t i = o->first; i < o->first + o->n && !err; i++) {
		char login[32], name[48];
		struct account_rec r = { .domain = o->domain, .created_ms = clock_wall_ms() };
		struct org_person_rec p = { .number = i + 1,
					    .position = STR("Engineer"),
					    .email = STR("someone@example.org") };
		r.local = str_of(login, (size_t)snprintf(login, sizeof login, "u%u", i));
		p.full_name = str_of(name, (size_t)snprintf(name, sizeof name, "Person Number %u", i));
		memcpy(r.scram, rig.keys, sizeof r.scram);
		err = account_create(t, &r);
		if (i % PEOPLE_PER_DEPARTMENT == 0) {
			struct org_dept_rec d = { .id = org_next_dept(t, o->domain), .name = p.full_name };
			org_dept_put(t, o->domain, &d);
		}
		p.account = r.id;
		p.dept = i / PEOPLE_PER_DEPARTMENT + 1;
		org_person_put(t, o->domain, &p);
	}
	org_version_raise(t, o->domain);
	return err;
}

static void op_done(struct write_op *op, int err, unsigned worker)
{
	(void)op;
	(void)worker;
	if (err) {
		fprintf(stderr, "rig: storing failed: %s\n", err_text(err));
		exit(1);
	}
	rig.done++;
}

static void op_free(struct write_op *op)
{
	mem_free(op);
}

static void post(void *ctx, unsigned worker, struct write_batch *batch)
{
	(void)ctx;
	(void)worker;
	pthread_mutex_lock(&rig.lock);
	rig.batches[rig.tail++ % RING] = batch;
	pthread_cond_signal(&rig.cond);
	pthread_mutex_unlock(&rig.lock);
}

static void submit(struct rig_op what)
{
	struct rig_op *o = mem_alloc(sizeof *o);
	*o = what;
	o->op.done = op_done;
	o->op.free = op_free;
	o->op.targets = 1;
	writer_submit(rig.writer, &o->op);
}

static void wait_until(uint64_t wanted)
{
	while (rig.done < wanted) {
		pthread_mutex_lock(&rig.lock);
		while (rig.head == rig.tail)
			pthread_cond_wait(&rig.cond, &rig.lock);
		struct write_batch *batch = rig.batches[rig.head++ % RING];
		pthread_mutex_unlock(&rig.lock);
		writer_deliver(batch, 0);
	}
}

void rig_open(const char *dir, unsigned pairs)
{
	struct err_msg msg;
	if (store_open_lmdb(dir, &(struct store_options){ 0 }, &rig.store, &msg) != 0 ||
	    migrate_check(rig.store, &msg) != 0) {
		fprintf(stderr, "rig: %s\n", msg.text);
		exit(1);
	}
	rig.pairs = rig.active = pairs;
	rig.writer = writer_new(rig.store, post, NULL);
	if (writer_start(rig.writer) != 0)
		abort();
}

void rig_active(unsigned pairs)
{
	rig.active = pairs < rig.pairs ? pairs : rig.pairs;
	rig.wave = 0;
}

unsigned rig_waves(void)
{
	return rig.pairs / rig.active;
}

void rig_wave(unsigned number)
{
	rig.wave = number;
}

/* Stored and server key of RFC 5802 section 3, once for all accounts. */
static void derive_keys(const char *password)
{
	static const char salt[16] = "0123456789abcde";
	for (unsigned k = 0; k < HASH_KINDS; k++) {
		struct scram_keys *s = &rig.keys[k];
		uint8_t salted[HASH_MAX], client[HASH_MAX];
		*s = (struct scram_keys){ .iterations = 4096, .salt_n = sizeof salt, .present = true };
		memcpy(s->salt, salt, sizeof salt);
		pbkdf2(k, str_c(password), str_of(salt, sizeof salt), s->iterations, salted);
		hmac(k, str_of((char *)salted, digest_size(k)), STR("Client Key"), client);
		digest(k, str_of((char *)client, digest_size(k)), s->stored_key);
		hmac(k, str_of((char *)salted, digest_size(k)), STR("Server Key"), s->server_key);
	}
}

void rig_accounts(const char *domain, const char *password, unsigned n)
{
	derive_keys(password);
	for (unsigned i = 0; i < n; i += ACCOUNTS_PER_OP) {
		uint32_t some = n - i < ACCOUNTS_PER_OP ? n - i : ACCOUNTS_PER_OP;
		uint64_t wanted = rig.done + 1;
		submit((struct rig_op){ .op.apply = accounts_apply, .first = i, .n = some, .domain = str_c(domain) });
		wait_until(wanted);
	}
}

void rig_messages(unsigned n, unsigned batch)
{
	while (n) {
		unsigned some = n < batch ? n : batch;
		uint64_t wanted = rig.done + some;
		for (unsigned i = 0; i < some; i++)
			submit((struct rig_op){ .op.apply = message_apply, .first = rig.number++, .n = 1 });
		wait_until(wanted);
		n -= some;
	}
}

struct rig_counts rig_counts(void)
{
	struct writer_stats s;
	writer_get_stats(rig.writer, &s);
	return (struct rig_counts){ .messages = rig.number, .commits = s.commits };
}

void rig_close(void)
{
	writer_stop(rig.writer);
	while (rig.head != rig.tail)
		writer_deliver(rig.batches[rig.head++ % RING], 0);
	store_close(rig.store);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

void rig_remove(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
