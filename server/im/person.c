/* Account id -> address and name: from this worker's structure where the person is in it, else from the account table. See person.h. */
#include "server/im/person.h"
#include "server/im/im.h"
#include "server/im/org.h"
#include "server/net/threads.h"
#include "storage/tab_account.h"
#include "storage/tab_org.h"

struct jid person_jid(struct arena *a, uint32_t account)
{
	const struct org_person *p = org_current() ? org_person(org_current(), account) : NULL;
	struct jid none = { .full = STR_NONE };
	struct account_rec r;

	if (p)
		return jid_dup(a, p->jid);
	struct txn *t = im_read();
	if (account_get_by_id(t, account, &r) == 0)
		none = jid_make(a, r.local, r.domain, STR_NONE);
	txn_commit(t);
	return none;
}

unsigned person_home(uint32_t account)
{
	struct arena *a = arena_new(512);
	struct jid j = person_jid(a, account);
	unsigned home = jid_is_none(&j) ? 0 : threads_home(jid_bare(&j));

	arena_free(a);
	return home;
}

struct str person_name(struct arena *a, struct txn *t, uint32_t account)
{
	struct account_rec r;
	struct org_person_rec p;

	if (account_get_by_id(t, account, &r))
		return STR("?");
	struct str login = arena_str(a, r.local), domain = arena_str(a, r.domain);
	return org_person_get(t, domain, account, &p) == 0 && p.full_name.n ? arena_str(a, p.full_name) : login;
}

struct str person_address(struct arena *a, struct txn *t, uint32_t account)
{
	struct account_rec r;

	return account_get_by_id(t, account, &r) ? STR("") : jid_make(a, r.local, r.domain, STR_NONE).full;
}
