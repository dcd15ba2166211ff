/*
 * vestnikd: the composition root. The only file that may include any folder: reads the options, opens the store, starts workers, writer and
 * listeners, then waits for signals. Order of stopping: no new connections, streams end with system-shutdown, sessions are saved, the writer
 * drains, the store closes (row D16).
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "bosh/api_events.h"
#include "bosh/http.h"
#include "bosh/static.h"
#include "server/admin/control.h"
#include "server/im/chat_room.h"
#include "server/im/fanout.h"
#include "server/im/files.h"
#include "server/im/im.h"
#include "server/im/inflight.h"
#include "server/im/notify.h"
#include "server/im/opaque.h"
#include "server/im/org.h"
#include "server/net/listener.h"
#include "server/net/signal.h"
#include "server/net/threads.h"
#include "server/options.h"
#include "server/worker.h"
#include "server/xmpp/session_xmpp.h"
#include "server/xmpp/stream.h"
#include "storage/migrate.h"
#include "storage/tab_sm.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct options opt;
static const char *config_file;
static _Atomic(struct tls_context *) tls_starttls, tls_direct;

static int fail(const struct err_msg *msg)
{
	fprintf(stderr, "vestnikd: %s\n", msg->text);
	return 1;
}

/* ---- TLS: the present contexts; a reload publishes new ones, the old are kept by their connections (promise P17) ---- */

static struct tls_context *present(_Atomic(struct tls_context *) *slot)
{
	return tls_context_ref(atomic_load_explicit(slot, memory_order_acquire));
}

static struct tls_context *present_starttls(void)
{
	return present(&tls_starttls);
}

static struct tls_context *present_direct(void)
{
	return present(&tls_direct);
}

/* A reader may be between load and ref, so former contexts are kept until the end: reloads are rare and contexts small. Main thread. */
static struct tls_context **retired;
static size_t n_retired;

static void retire(struct tls_context *c)
{
	if (!c)
		return;
	retired = mem_realloc(retired, (n_retired + 1) * sizeof(struct tls_context *));
	retired[n_retired++] = c;
}

static void unload_tls(void)
{
	retire(atomic_exchange(&tls_starttls, NULL));
	retire(atomic_exchange(&tls_direct, NULL));
	while (n_retired)
		tls_context_unref(retired[--n_retired]);
	mem_free(retired);
}

static int load_tls(const struct options *o, struct err_msg *msg)
{
	struct tls_options t = {
		.certificate = o->tls_certificate[0] ? o->tls_certificate : NULL,
		.key = o->tls_key[0] ? o->tls_key : NULL,
		.client_ca = o->tls_client_ca[0] ? o->tls_client_ca : NULL,
		.data_dir = opt.data,
		.domains = im.domains,
		.n_domains = im.n_domains,
	};
	struct tls_context *a, *b;
	int err = tls_context_new(&t, &a, msg);

	if (err)
		return err;
	t.alpn_xmpp = true;
	if ((err = tls_context_new(&t, &b, msg)) != 0) {
		tls_context_unref(a);
		return err;
	}
	retire(atomic_exchange_explicit(&tls_starttls, a, memory_order_acq_rel));
	retire(atomic_exchange_explicit(&tls_direct, b, memory_order_acq_rel));
	return 0;
}

/* ---- listeners ---- */

static const struct stream_listener listeners[] = {
	[LISTEN_STARTTLS] = { STREAM_STARTTLS, present_starttls },
	[LISTEN_DIRECT] = { STREAM_DIRECT_TLS, present_direct },
	[LISTEN_NONE] = { STREAM_LOCAL, present_starttls },
};

static void accept_xmpp(void *ctx, int fd)
{
	stream_accept(ctx, fd);
}

static void set_http(const struct options *o)
{
	struct http_options h = options_http(o);

	http_set_options(&h);
}

static int open_listeners(struct err_msg *msg)
{
	const struct listen_option *l = opt.listen.v;

	for (size_t i = 0; i < opt.listen.n; i++) {
		int err = l[i].protocol == LISTEN_XMPP
				  ? listener_open(l[i].address, (unsigned)l[i].port, accept_xmpp,
						  (void *)&listeners[l[i].tls], msg)
				  : control_listen(l[i].address, (unsigned)l[i].port,
						   l[i].tls == LISTEN_DIRECT ? present_direct : NULL, msg);
		if (err)
			return err;
	}
	return control_listen_unix(opt.control_socket, msg);
}

/* ---- start and stop ---- */

static int open_store(struct err_msg *msg)
{
	struct store_options so = { .map_bytes = opt.map_mib << 20,
				    .max_readers = 1024,
				    .allow_network_fs = opt.allow_network_fs };
	int err = store_open_lmdb(opt.data, &so, &im.store, msg);

	if (err)
		return err;
	if ((err = migrate_check(im.store, msg)) != 0)
		return err;
	if ((err = store_secret(im.store, im.secret)) != 0)
		return err_set(msg, err, "%s: the server secret cannot be read", opt.data);
	opaque_init(im.secret);
	return 0;
}

static void apply_options(void)
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };

	limits_set(&opt.limits);
	log_set_level(str_c(levels[opt.log_level]));
	log_set_rate((unsigned)opt.limits.log_lines);
	im.visibility = (enum im_visibility)opt.visibility;
	im.directory_owns_passwords = opt.directory_passwords;
	im.chat_departments = opt.chat_departments;
	im.chat_general = opt.chat_general;
	im.chat_russian = opt.chat_language == 1;
	im.people_make_chats = opt.people_make_chats;
}

/* http.url, or what the first HTTP listener suggests: its own address on loopback, else the first domain. */
static void fill_http_url(void)
{
	const struct listen_option *l = opt.listen.v;
	size_t i = 0;

	while (i < opt.listen.n && l[i].protocol != LISTEN_HTTP)
		i++;
	if (opt.http_url[0] || i == opt.listen.n) {
		snprintf(im.http_url, sizeof im.http_url, "%s", opt.http_url);
		for (size_t n = strlen(im.http_url); n && im.http_url[n - 1] == '/'; n--)
			im.http_url[n - 1] = '\0';
		return;
	}
	bool local = strncmp(l[i].address, "127.", 4) == 0;
	snprintf(im.http_url, sizeof im.http_url, "%s://%s:%u", l[i].tls == LISTEN_DIRECT ? "https" : "http",
		 local ? l[i].address : im.domains[0], (unsigned)l[i].port);
}

static void fill_context(void)
{
	im.domains = opt.domains.v;
	im.n_domains = opt.domains.n;
	im.chat_aliases = opt.chat_aliases.v;
	im.n_chat_aliases = opt.chat_aliases.n;
	im.scram_iterations = (uint32_t)opt.scram_iterations;
	im.started_ms = clock_wall_ms();
	im.data_dir = opt.data;
	const struct listen_option *l = opt.listen.v;
	for (size_t i = opt.listen.n; i-- > 0;)
		if (l[i].protocol == LISTEN_XMPP)
			snprintf(im.xmpp_port, sizeof im.xmpp_port, "%u", (unsigned)l[i].port);
	fill_http_url();
	apply_options();
	set_http(&opt);
	if (!opt.control_socket[0]) {
		size_t n = strlen(opt.data) + sizeof "/control.sock";
		mem_free(opt.control_socket);
		opt.control_socket = mem_alloc(n);
		snprintf(opt.control_socket, n, "%s/control.sock", opt.data);
	}
}

static int start(struct err_msg *msg)
{
	unsigned workers = opt.workers ? (unsigned)opt.workers : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	int err;

	if ((err = open_store(msg)) != 0)
		return err;
	if ((err = threads_init(workers > WORKERS_MAX ? WORKERS_MAX : workers)) != 0)
		return err_set(msg, err, "cannot make worker threads: %s", err_text(err));
	if ((err = static_init(opt.http_web_root, msg)) != 0)
		return err;
	if ((err = open_listeners(msg)) != 0)
		return err;
	if ((err = load_tls(&opt, msg)) != 0)
		return err;
	if ((err = portal_set_keys(opt.portal.v, opt.portal.n, msg)) != 0)
		return err;
	if ((err = org_load(msg)) != 0)
		return err;
	if ((err = files_init(msg)) != 0)
		return err;
	if ((err = im_writer_start()) != 0)
		return err_set(msg, err, "cannot start the writer thread: %s", err_text(err));
	if ((err = helpers_start(workers)) != 0 || (err = threads_start(worker_init, worker_fini)) != 0)
		return err_set(msg, err, "cannot start threads: %s", err_text(err));
	return 0;
}

static void reload(void)
{
	struct options fresh;
	struct err_msg msg;

	service_notify("RELOADING=1");
	int err = options_load(config_file, &fresh, &msg); /* after an error there is nothing to free */
	bool loaded = !err;
	if (!err)
		err = load_tls(&fresh, &msg);
	if (!err)
		err = portal_set_keys(fresh.portal.v, fresh.portal.n, &msg);
	if (err) {
		log_error("reload.failed", LC("text", msg.text));
	} else {
		opt.limits = fresh.limits;
		set_http(&fresh);
		opt.log_level = fresh.log_level;
		opt.directory_passwords = fresh.directory_passwords;
		opt.chat_language = fresh.chat_language;
		bool policy_changed = opt.visibility != fresh.visibility;
		opt.visibility = fresh.visibility;
		apply_options();
		if (policy_changed)
			org_reload(); /* corrects the rosters and presences of everybody online */
		log_info("reload.done");
	}
	if (loaded)
		conf_clear(option_table, &fresh);
	service_notify("READY=1");
}

static void save_session(struct session *s, void *ctx)
{
	(void)ctx;
	if (s->transport == &xmpp_transport)
		sm_save_for_shutdown((struct xsession *)s);
}

static atomic_size_t streams_left;

static void drain_worker(void *data)
{
	(void)data;
	session_each(save_session, NULL);
	api_events_stop();
	stream_shutdown_all();
}

static void count_streams(void *data)
{
	(void)data;
	stream_shutdown_all(); /* also one that was accepted or moved here meanwhile */
	atomic_fetch_add(&streams_left, stream_count());
}

static void close_writes(void *data)
{
	(void)data;
	inflight_flush();
	room_flush();
	im_close_writes();
}

static void asked(void *data)
{
	atomic_store((atomic_bool *)data, true);
}

/* Runs fn on every worker and waits until the last has done it. Main thread. */
static void ask_all(void (*fn)(void *data))
{
	atomic_bool done = false;

	fanout(fn, &done, asked);
	while (!atomic_load(&done))
		usleep(1000);
}

static void stop(void)
{
	uint64_t end = clock_mono_ms() + limits()->drain_ms;

	service_notify("STOPPING=1");
	log_info("server.stopping");
	listener_stop_all();
	ask_all(drain_worker);
	for (size_t left = 1; left && clock_mono_ms() < end;) { /* until every stream has said goodbye */
		atomic_store(&streams_left, 0);
		ask_all(count_streams);
		left = atomic_load(&streams_left);
		if (left)
			usleep(10000);
	}
	ask_all(close_writes);
	im_writer_stop();
	threads_stop();
	listener_free_all();
	control_stop();
	store_close(im.store);
	unload_tls();
	portal_fini();
	log_info("server.stopped");
}

static void sweep_done(struct write_op *op, int err, unsigned worker)
{
	(void)op;
	(void)err;
	(void)worker;
}

static void sweep_free(struct write_op *op)
{
	mem_free(op);
}

static int apply_sweep(struct txn *t, struct write_op *op)
{
	(void)op;
	sm_expire(t, clock_wall_ms() - limits()->sm_resume_ms);
	return txn_error(t);
}

/* Each minute: dead readers, old resumable states, the reserve. */
static void sweep(void)
{
	struct write_op *op = NEW(struct write_op);

	*op = (struct write_op){ .apply = apply_sweep, .done = sweep_done, .free = sweep_free };
	im_write_to(op, 1);
	notify_sweep();
	store_reader_check(im.store);
	mem_relax();
}

#define TICK_MS 500

/* Trouble with the disk is told once when it begins and once when it is over (row D06). */
static void tell_health(void)
{
	static bool bad;
	int trouble = writer_take_trouble(im.writer), health = writer_health(im.writer);

	if (trouble && !bad)
		log_error("store.trouble", LERR(trouble),
			  LC("text", "the disk refused a write; what cannot be stored is refused, reads go on"));
	if (trouble || health)
		bad = true;
	else if (bad) {
		log_info("store.well", LC("text", "the disk takes writes again"));
		bad = false;
	}
}

/* The store cannot be opened again within this process (M18): nothing acknowledged is lost by leaving at once, and the service manager starts us
 * again (row D06). */
static void leave_if_panicked(void)
{
	if (!store_panicked(im.store))
		return;
	log_error("store.panic",
		  LC("text",
		     "the disk failed in the middle of a commit; the server ends so that it can be started again"));
	log_report_dropped(true);
	_exit(1);
}

/* Every worker answered the last question: only then the watchdog is fed, so a stuck worker ends in a restart. */
static atomic_bool beat_answered = true;

static void beat(void *data)
{
	(void)data;
}

static void beat_done(void *data)
{
	atomic_store((atomic_bool *)data, true);
}

static void feed_watchdog(void)
{
	if (!atomic_exchange(&beat_answered, false))
		return;
	service_notify("WATCHDOG=1");
	fanout(beat, &beat_answered, beat_done);
}

static void log_listeners(void)
{
	const struct listen_option *l = opt.listen.v;

	for (size_t i = 0; i < opt.listen.n; i++)
		log_info("listen", LC("protocol", l[i].protocol == LISTEN_XMPP ? "xmpp" : "http"),
			 LC("address", l[i].address), LU("port", l[i].port));
}

static void run(void)
{
	unsigned watchdog = service_watchdog_ms(), tick = watchdog && watchdog < TICK_MS ? watchdog : TICK_MS;
	uint64_t last_sweep = clock_mono_ms();

	log_listeners();
	log_info("server.ready", LC("version", PACKAGE_VERSION), LC("data", opt.data), LU("workers", threads_count()));
	service_notify("READY=1");
	for (;;) {
		enum signal_event e = signal_wait(tick);
		if (e == SIGNAL_STOP)
			return;
		if (e == SIGNAL_RELOAD)
			reload();
		tell_health();
		leave_if_panicked();
		feed_watchdog();
		log_report_dropped(false);
		if (clock_mono_ms() - last_sweep < 60000)
			continue;
		last_sweep = clock_mono_ms();
		sweep();
	}
}

static int usage(int code)
{
	fprintf(code ? stderr : stdout, "usage: vestnikd -c FILE [-t]\n"
					"  -c FILE     configuration\n"
					"  -t          check the configuration and exit\n"
					"  --options   print the manual of all options\n"
					"  --version   print the version\n");
	return code;
}

/* One descriptor per connection: the soft limit of 1024 is for select(2), which nothing here uses (row E05). */
static void raise_descriptor_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur == l.rlim_max)
		return;
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
}

int main(int argc, char **argv)
{
	bool only_test = false;
	struct err_msg msg = { "" };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
			config_file = argv[++i];
		else if (strcmp(argv[i], "-t") == 0)
			only_test = true;
		else if (strcmp(argv[i], "--options") == 0)
			return conf_manual(option_table, stdout), 0;
		else if (strcmp(argv[i], "--version") == 0)
			return puts(PACKAGE_STRING), 0;
		else if (strcmp(argv[i], "--help") == 0)
			return usage(0);
		else
			return usage(2);
	}
	if (!config_file)
		return usage(2);
	umask(0077);
	if (options_load(config_file, &opt, &msg))
		return fail(&msg);
	if (only_test)
		return puts("configuration: ok"), 0;
	signal_init();
	mem_init(8u << 20);
	fault_init();
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	raise_descriptor_limit();
	modules_init();
	api_events_init();
	fill_context();
	if (start(&msg))
		return fail(&msg);
	run();
	stop();
	return 0;
}
