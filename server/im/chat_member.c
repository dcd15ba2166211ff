/* Members: adding, leaving, taking out, roles. The rules run on the writer thread against the store (I07, I08, E03). */
#include "base/clock.h"
#include "base/mem.h"
#include "server/im/chat_op.h"
#include "server/im/conv.h"
#include "server/net/limits.h"

static void did_member(struct chat_op *o, uint32_t account, enum chat_role role)
{
	struct chat_effect *e = chat_did(o, CHAT_DID_MEMBER);

	e->account = account;
	e->role = (uint8_t)role;
	e->reason = o->reason;
}

void chat_member_enter(struct txn *t, struct chat_op *o, uint32_t account, enum chat_role role, bool hide)
{
	uint64_t conv = conv_chat(o->number), last = conv_last_seq(t, conv);
	struct chat_member_rec m = {
		.account = account,
		.role = (uint8_t)role,
		.floor = hide ? last : 0,
		.joined_ms = clock_wall_ms(),
		.invited_by = o->by.account,
	};
	struct cursor_rec c = { .read = last }; /* what was said before is no news */

	chat_member_put(t, &o->chat, &m);
	cursor_put(t, account, conv, &c);
	did_member(o, account, role);
}

void chat_member_leave(struct txn *t, struct chat_op *o, uint32_t account, bool ban)
{
	struct chat_member_rec m = {
		.account = account, .role = CHAT_OUTCAST, .joined_ms = clock_wall_ms(), .invited_by = o->by.account
	};

	chat_member_del(t, &o->chat, account);
	if (ban)
		chat_member_put(t, &o->chat, &m);
	cursor_del(t, account, conv_chat(o->number));
	did_member(o, account, ban ? CHAT_OUTCAST : CHAT_NONE);
}

/* ---- adding ---- */

/* The accounts that are not in it yet, each once; ERR_NOT_FOUND when one cannot be, ERR_FORBIDDEN when one is banned and the actor may not undo that. */
static int newcomers(struct txn *t, struct chat_op *o, uint32_t **out, size_t *out_n)
{
	uint32_t *v = arena_alloc(o->a, (o->n + 1) * sizeof *v);
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++) {
		struct chat_member_rec m;
		bool again = false;
		int err = chat_account_fits(t, o->chat.domain, o->accounts[i]);
		if (err)
			return err;
		err = chat_member_get(t, o->number, o->accounts[i], &m);
		if (err && err != ERR_NOT_FOUND)
			return err;
		if (!err && m.role >= CHAT_MEMBER)
			continue;
		if (!err && m.role == CHAT_OUTCAST && chat_allows(o, CHAT_MAY_REMOVE))
			return ERR_FORBIDDEN;
		for (size_t k = 0; k < n && !again; k++)
			again = v[k] == o->accounts[i];
		if (!again)
			v[n++] = o->accounts[i];
	}
	*out = v;
	*out_n = n;
	return 0;
}

static bool too_many_chats(struct txn *t, uint32_t account)
{
	size_t max = limits()->chats_per_account;
	uint64_t *v = mem_alloc(max * sizeof *v);
	size_t n = chat_of_account(t, account, 0, v, max);

	mem_free(v);
	return n >= max;
}

static int run_add(struct txn *t, struct chat_op *o)
{
	uint32_t *v;
	size_t n;
	int err = chat_enter(t, o);

	if (err)
		return err;
	bool self = o->by.account && o->n == 1 && o->accounts[0] == o->by.account && (o->chat.flags & CHAT_IS_OPEN);
	if (!self && (err = chat_allows(o, CHAT_MAY_ADD)) != 0)
		return err;
	if ((err = newcomers(t, o, &v, &n)) != 0)
		return err;
	if (!n)
		return 0;
	if (o->chat.n_members + n > limits()->chat_members && !(o->chat.flags & (CHAT_IS_GENERAL | CHAT_IS_DEPARTMENT)))
		return ERR_LIMIT;
	if (self && too_many_chats(t, v[0]))
		return ERR_LIMIT;
	bool hide = o->hide_history == CHAT_DEFAULT ? (o->chat.flags & CHAT_HIDES_HISTORY) != 0 : o->hide_history != 0;
	for (size_t i = 0; i < n; i++)
		chat_member_enter(t, o, v[i], CHAT_MEMBER, hide);
	chat_rec_put(t, &o->chat);
	if (!self)
		chat_audit(t, o, "chat.add", arena_printf(o->a, "%zu", n));
	return chat_line(t, o, self ? "join" : "add", v, n, STR_NONE);
}

void chat_add(const struct principal *by, uint64_t number, const uint32_t *accounts, size_t n, int hide_history,
	      bool skip_line, chat_done_fn *done, void *ctx)
{
	struct chat_op *o = chat_op_new(by, number, run_add, done, ctx);

	if (n > limits()->chat_adds) { /* E03: nobody is spammed by one request */
		limit_hit("chat_adds");
		return chat_op_refuse(o, ERR_LIMIT);
	}
	uint32_t *copy = arena_alloc(o->a, (n + 1) * sizeof *copy);
	for (size_t i = 0; i < n; i++)
		copy[i] = accounts[i];
	o->accounts = copy;
	o->n = n;
	o->hide_history = hide_history;
	o->skip_line = skip_line;
	chat_op_submit(o);
}

/* ---- taking out ---- */

/* The structure keeps its own people in; guests of a department chat come and go. */
static bool is_kept(const struct chat_rec *c, const struct chat_member_rec *m)
{
	return (c->flags & CHAT_IS_GENERAL) || ((c->flags & CHAT_IS_DEPARTMENT) && !m->invited_by);
}

static int may_take_out(const struct chat_op *o, const struct chat_member_rec *m)
{
	bool self = m->account == o->by.account;

	if (!self && chat_allows(o, CHAT_MAY_REMOVE))
		return ERR_FORBIDDEN;
	if (is_kept(&o->chat, m))
		return ERR_CONFLICT;
	if (m->role == CHAT_OWNER)
		return self ? ERR_CONFLICT : ERR_FORBIDDEN; /* he hands it over or ends it first */
	return self || o->rank == CHAT_OWNER || o->rank > m->role
		       ? 0
		       : ERR_FORBIDDEN; /* XEP-0045 5.2: nobody takes out his equal */
}

static int run_remove(struct txn *t, struct chat_op *o)
{
	struct chat_member_rec m;
	int err = chat_enter(t, o);

	if (err)
		return err;
	err = chat_member_get(t, o->number, o->account, &m);
	bool self = o->account == o->by.account;
	if (!err && m.role < CHAT_MEMBER)
		err = ERR_NOT_FOUND;
	if (err == ERR_NOT_FOUND && !self && chat_allows(o, CHAT_MAY_REMOVE))
		return ERR_FORBIDDEN; /* who is in it is not told (I07) */
	if (err || (err = may_take_out(o, &m)) != 0)
		return err;
	chat_member_leave(t, o, o->account, false);
	chat_rec_put(t, &o->chat);
	if (!self)
		chat_audit(t, o, "chat.remove", arena_printf(o->a, "account %u", o->account));
	return chat_line(t, o, self ? "leave" : "remove", &o->account, 1, STR_NONE);
}

void chat_remove(const struct principal *by, uint64_t number, uint32_t account, bool skip_line, struct str reason,
		 chat_done_fn *done, void *ctx)
{
	struct chat_op *o = chat_op_new(by, number, run_remove, done, ctx);

	o->account = account;
	o->skip_line = skip_line;
	o->reason = reason.p ? arena_str(o->a, reason) : STR_NONE;
	chat_op_submit(o);
}

/* ---- roles ---- */

static int may_set_role(const struct chat_op *o, const struct chat_member_rec *m)
{
	bool high = o->role >= CHAT_MANAGER || m->role >= CHAT_MANAGER;

	if (high && o->rank < CHAT_OWNER)
		return ERR_FORBIDDEN;
	if (m->role == CHAT_OWNER)
		return ERR_CONFLICT; /* another is made owner, then he is a manager */
	if (o->role <= CHAT_NONE && m->role >= CHAT_MEMBER && is_kept(&o->chat, m))
		return ERR_CONFLICT;
	return chat_allows(o, o->role == CHAT_MEMBER && m->role == CHAT_NONE ? CHAT_MAY_ADD : CHAT_MAY_REMOVE);
}

/* The former owner becomes a manager. */
static void demote_owner(struct txn *t, struct chat_op *o)
{
	struct chat_member_rec m;

	if (!o->chat.owner || o->chat.owner == o->account || chat_member_get(t, o->number, o->chat.owner, &m))
		return;
	m.role = CHAT_MANAGER;
	chat_member_put(t, &o->chat, &m);
	did_member(o, m.account, CHAT_MANAGER);
}

static void change_role(struct txn *t, struct chat_op *o, struct chat_member_rec *m)
{
	if (o->role <= CHAT_NONE) {
		chat_member_leave(t, o, o->account, o->role == CHAT_OUTCAST);
		return;
	}
	if (o->role == CHAT_OWNER) {
		demote_owner(t, o);
		o->chat.owner = o->account;
	}
	if (m->role < CHAT_MEMBER) {
		chat_member_enter(t, o, o->account, o->role, (o->chat.flags & CHAT_HIDES_HISTORY) != 0);
		return;
	}
	m->role = (uint8_t)o->role;
	chat_member_put(t, &o->chat, m);
	did_member(o, o->account, o->role);
}

static int run_role(struct txn *t, struct chat_op *o)
{
	static const char *const codes[] = { "ban", "remove", "member", "manager", "owner" };
	struct chat_member_rec m;
	int err = chat_enter(t, o);

	if (!err)
		err = chat_account_fits(t, o->chat.domain, o->account);
	if (err)
		return err;
	err = chat_member_get(t, o->number, o->account, &m);
	if (err && err != ERR_NOT_FOUND)
		return err;
	uint8_t former = m.role;
	if (o->account == o->by.account && o->role == CHAT_NONE)
		return run_remove(t, o);
	if (former == o->role)
		return chat_allows(o, CHAT_MAY_REMOVE);
	if ((err = may_set_role(o, &m)) != 0)
		return err;
	if (former < CHAT_MEMBER && o->role >= CHAT_MEMBER && o->chat.n_members >= limits()->chat_members)
		return ERR_LIMIT;
	change_role(t, o, &m);
	chat_rec_put(t, &o->chat);
	chat_audit(t, o, "chat.role", arena_printf(o->a, "account %u: %s", o->account, codes[o->role]));
	if (former < CHAT_MEMBER && o->role == CHAT_NONE)
		return 0; /* a ban is lifted in silence */
	return chat_line(t, o, former < CHAT_MEMBER && o->role == CHAT_MEMBER ? "add" : codes[o->role], &o->account, 1,
			 STR_NONE);
}

void chat_set_role(const struct principal *by, uint64_t number, uint32_t account, enum chat_role role,
		   struct str reason, chat_done_fn *done, void *ctx)
{
	struct chat_op *o = chat_op_new(by, number, run_role, done, ctx);

	o->account = account;
	o->role = role;
	o->reason = reason.p ? arena_str(o->a, reason) : STR_NONE;
	if (role < CHAT_OUTCAST || role > CHAT_OWNER)
		return chat_op_refuse(o, ERR_SYNTAX);
	chat_op_submit(o);
}

/* ---- an account goes ---- */

struct heir {
	uint32_t former;
	struct chat_member_rec best;
};

static bool compare_heir(void *ctx, const struct chat_member_rec *m)
{
	struct heir *h = ctx;

	if (m->account == h->former || m->role < CHAT_MEMBER)
		return true;
	if (m->role > h->best.role || (m->role == h->best.role && m->joined_ms < h->best.joined_ms))
		h->best = *m;
	return true;
}

static void leave_for_ever(struct txn *t, struct arena *a, uint64_t number, uint32_t account)
{
	struct heir h = { .former = account };
	struct chat_rec r;

	if (chat_rec_get(t, number, &r))
		return;
	chat_rec_copy(a, &r);
	chat_member_del(t, &r, account);
	cursor_del(t, account, conv_chat(number));
	if (r.owner == account) {
		chat_member_each(t, number, compare_heir, &h);
		r.owner = h.best.account;
		h.best.role = CHAT_OWNER;
		if (r.owner)
			chat_member_put(t, &r, &h.best);
	}
	chat_rec_put(t, &r);
}

void chat_end_account(struct txn *t, uint32_t account)
{
	struct arena *a = arena_new(4096);
	uint64_t number;

	for (uint64_t after = 0; chat_of_account(t, account, after, &number, 1) == 1; after = number)
		leave_for_ever(t, a, number, account);
	arena_free(a);
}
