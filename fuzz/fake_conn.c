/* See fake_conn.h. Callbacks are never nested in calls of the user, as with the real thing: they run in the deferred turn. */
#include "fuzz/fake_conn.h"
#include "base/err.h"
#include "base/mem.h"
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

struct conn {
	const struct conn_events *ev;
	void *user;
	struct buf out, given; /* given: input that was handed back or came while paused */
	struct deferred turn;
	uint64_t id, tx, confirmed; /* confirmed: of tx, when muted */
	unsigned pauses;
	int err;
	bool closing, closed, muted;
};
static struct conn *last;
static uint64_t ids;

static void turn(struct deferred *d)
{
	struct conn *c = list_entry(d, struct conn, turn);

	if (c->closed)
		return;
	if (c->given.n && !c->pauses && !c->closing) {
		size_t n;
		char *p = buf_take(&c->given, &n);
		c->ev->on_data(c, p, n);
		mem_free(p);
	}
	if (c->ev->on_drained)
		c->ev->on_drained(c);
	if (c->closing) {
		c->closed = true;
		c->ev->on_closed(c, c->err);
	}
}

struct conn *conn_new(int fd, const struct conn_events *ev, void *user, struct tls_context *tls)
{
	struct conn *c = NEW(struct conn);

	assert(!tls);
	if (fd >= 0)
		close(fd);
	*c = (struct conn){ .ev = ev, .user = user, .id = ++ids, .turn = { .run = turn } };
	buf_init(&c->out, 64 << 20);
	buf_init(&c->given, 1 << 20);
	return last = c;
}

struct conn *fake_conn_last(void)
{
	return last;
}

bool fake_conn_feed(struct conn *c, const char *data, size_t n)
{
	if (c->closing)
		return false;
	if (c->given.n || c->pauses)
		buf_add(&c->given, data, n);
	else if (n)
		c->ev->on_data(c, data, n);
	return !c->closing;
}

struct str fake_conn_output(const struct conn *c)
{
	return buf_str(&c->out);
}

void fake_conn_forget(struct conn *c)
{
	buf_reset(&c->out);
}

void fake_conn_hang_up(struct conn *c)
{
	conn_abort(c, ERR_CLOSED);
}

bool fake_conn_is_closed(const struct conn *c)
{
	return c->closed;
}

void fake_conn_free(struct conn *c)
{
	assert(c->closed);
	loop_undefer(&c->turn);
	buf_clear(&c->out);
	buf_clear(&c->given);
	mem_free(c);
}

void fake_conn_mute(struct conn *c)
{
	c->muted = true;
	c->confirmed = c->tx;
}

int conn_write(struct conn *c, struct str s)
{
	if (c->closing)
		return ERR_CLOSED;
	buf_str_add(&c->out, s);
	c->tx += s.n;
	loop_defer(loop_self(), &c->turn);
	return 0;
}

int conn_write_later(struct conn *c, struct str s)
{
	return conn_write(c, s);
}

int conn_write_chunk(struct conn *c, struct chunk *k, size_t off, size_t n)
{
	assert(off <= k->n && n <= k->n - off);
	return conn_write(c, str_of(k->data + off, n));
}

void conn_close(struct conn *c)
{
	conn_abort(c, 0);
}

void conn_abort(struct conn *c, int err)
{
	if (c->closing)
		return;
	c->closing = true;
	c->err = err;
	loop_defer(loop_self(), &c->turn);
}

void conn_set_user(struct conn *c, const struct conn_events *ev, void *user)
{
	c->ev = ev;
	c->user = user;
}

void *conn_user(const struct conn *c)
{
	return c->user;
}
bool conn_is_closing(const struct conn *c)
{
	return c->closing;
}
uint64_t conn_id(const struct conn *c)
{
	return c->id;
}
uint64_t conn_tx_total(const struct conn *c)
{
	return c->tx;
}
uint64_t conn_tx_confirmed(struct conn *c)
{
	return c->muted ? c->confirmed : c->tx;
}
void conn_pause(struct conn *c)
{
	c->pauses++;
}
void conn_resume(struct conn *c)
{
	assert(c->pauses > 0);
	c->pauses--;
	loop_defer(loop_self(), &c->turn);
}
bool conn_is_paused(const struct conn *c)
{
	return c->pauses > 0;
}

/* One plain loopback peer that reads everything at once and never pays for its input. */
const char *conn_ip(const struct conn *c)
{
	(void)c;
	return "127.0.0.1";
}
bool conn_is_loopback(const struct conn *c)
{
	(void)c;
	return true;
}
bool conn_is_tls(const struct conn *c)
{
	(void)c;
	return false;
}
struct tls_session *conn_tls(const struct conn *c)
{
	(void)c;
	return NULL;
}
int conn_starttls(struct conn *c, struct tls_context *tls)
{
	(void)c, (void)tls;
	return ERR_UNSUPPORTED;
}
size_t conn_queued(const struct conn *c)
{
	(void)c;
	return 0;
}
uint64_t conn_last_rx(const struct conn *c)
{
	(void)c;
	return loop_now(loop_self());
}
void conn_get_stats(const struct conn *c, struct conn_stats *out)
{
	*out = (struct conn_stats){ .tx_bytes = c->tx };
}
uint64_t conn_count(void)
{
	return 0;
}
void conn_flush(struct conn *c)
{
	(void)c;
}
void conn_set_output_max(struct conn *c, size_t max_bytes)
{
	(void)c, (void)max_bytes;
}
void conn_set_rate(struct conn *c, uint64_t bytes_per_s, uint64_t burst)
{
	(void)c, (void)bytes_per_s, (void)burst;
}
void conn_set_stanza_rate(struct conn *c, uint64_t per_s, uint64_t burst)
{
	(void)c, (void)per_s, (void)burst;
}
void conn_charge_stanza(struct conn *c)
{
	(void)c;
}

void conn_unread(struct conn *c, const char *data, size_t n)
{
	struct buf front;

	buf_init(&front, 1 << 20);
	buf_add(&front, data, n);
	buf_str_add(&front, buf_str(&c->given));
	buf_clear(&c->given);
	c->given = front;
	loop_defer(loop_self(), &c->turn);
}

/* One worker: nothing moves. */
void conn_detach(struct conn *c)
{
	(void)c;
	abort();
}
void conn_attach(struct conn *c)
{
	(void)c;
	abort();
}
