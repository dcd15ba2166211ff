/*
 * The list of modules that keep something per process or per worker, in the order they start and end. Beside main.c and not in it, because
 * the fuzzers play a server without its options, listeners and signals. Workers, modules_init on the main thread.
 */
#include "server/worker.h"
#include "base/log.h"
#include "bosh/bosh.h"
#include "server/im/account.h"
#include "server/im/auth.h"
#include "server/im/chat.h"
#include "server/im/chat_room.h"
#include "server/im/inflight.h"
#include "server/im/org.h"
#include "server/im/peer.h"
#include "server/im/presence.h"
#include "server/im/roster.h"
#include "server/im/session.h"
#include "server/xmpp/bookmarks.h"
#include "server/xmpp/caps.h"
#include "server/xmpp/content.h"
#include "server/xmpp/handlers.h"
#include "server/xmpp/inbox.h"
#include "server/xmpp/mds.h"
#include "server/xmpp/muc.h"
#include "server/xmpp/muc_mention.h"
#include "server/xmpp/muc_watch.h"
#include "server/xmpp/pep.h"
#include "server/xmpp/roster.h"
#include "server/xmpp/session_xmpp.h"
#include "server/xmpp/stream.h"
#include "xml/atom.h"

void worker_init(unsigned worker)
{
	home_init(worker);
	streams_thread_init();
	xsessions_thread_init();
	sm_thread_init();
	presence_thread_init();
	org_thread_init();
	room_thread_init();
	if (worker == 0)
		chat_structure_start();
}

void worker_fini(unsigned worker)
{
	(void)worker;
	xsessions_drop_all();
	bosh_thread_fini();
	loop_timer_cancel(loop_self(), &home()->dirty_timer);
	muc_mentions_thread_fini();
	muc_watch_thread_fini();
	room_thread_fini();
	roster_thread_fini();
	org_thread_fini();
	presence_thread_fini();
	caps_thread_fini();
	sm_thread_fini();
	xsessions_thread_fini();
	streams_thread_fini();
	peer_thread_end();
	inflight_thread_end();
	home_fini();
}

/* A password change, disabling or deletion ends the account's sessions (row A16). */
static void on_account_changed(struct str bare, uint32_t id, enum account_change change, uint32_t epoch,
			       uint64_t keep_session)
{
	struct user *u = user_find(bare);

	(void)id;
	peer_forget_all();
	chat_accounts_changed();
	if (change == ACCOUNT_DELETED)
		roster_account_gone(bare);
	if (!u || change == ACCOUNT_CREATED || change == ACCOUNT_ENABLED)
		return;
	if (change == ACCOUNT_ADMIN_CHANGED) {
		struct auth_account a;
		if (!auth_lookup(jid_domain(&u->jid), jid_local(&u->jid), &a))
			u->is_admin = a.is_admin;
		return;
	}
	u->credentials_epoch = epoch;
	uint64_t numbers[1024];
	size_t n = 0;
	list_each (s, &u->sessions, struct session, of_user)
		if (s->number != keep_session && n < 1024)
			numbers[n++] = s->number;
	for (size_t i = 0; i < n; i++) {
		struct session *s = session_by_number(numbers[i]);
		if (s)
			s->transport->kick(s, "not-authorized",
					   "The password or the account was changed; log in again");
	}
	struct session *kept = session_by_number(keep_session);
	if (kept && kept->user == u && kept->transport == &xmpp_transport)
		sm_credentials_changed((struct xsession *)kept);
}

void modules_init(void)
{
	atom_init();
	handlers_init();
	content_init();
	inbox_init();
	mds_init();
	account_set_listener(on_account_changed);
	org_init();
	presence_init();
	room_init();
	chat_init();
	pep_init();
	muc_init();
	bookmarks_init();
	roster_handlers_init();
}
