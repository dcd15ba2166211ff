/* The options of vestnikd: one row each in options.c, which is also the manual (vestnikd --options). */
#pragma once
#include "base/conf.h"
#include "bosh/http.h"
#include "server/im/portal.h"
#include "server/net/limits.h"

struct listen_option {
	int protocol;          /* enum listen_protocol */
	char *address;
	uint64_t port;
	int tls;               /* enum listen_tls */
};
enum listen_protocol { LISTEN_XMPP, LISTEN_HTTP };
enum listen_tls { LISTEN_STARTTLS, LISTEN_DIRECT, LISTEN_NONE };

struct options {
	char *data;
	struct conf_list domains;      /* char * */
	struct conf_list listen;       /* struct listen_option */
	char *tls_certificate, *tls_key, *tls_client_ca;
	struct conf_list chat_aliases;
	bool people_make_chats;
	uint64_t scram_iterations;
	bool directory_passwords;
	char *http_url;
	struct conf_list portal;       /* struct portal_key: sign-on by tokens of a portal */
	int visibility;                /* enum im_visibility */
	bool chat_departments, chat_general;
	int chat_language;             /* 0 en, 1 ru */
	uint64_t workers;
	int log_level;
	char *control_socket;
	struct conf_list http_proxies, http_origins; /* char * */
	char *http_web_root;
	bool http_access_log;
	bool allow_network_fs;
	uint64_t map_mib;
	struct limits limits;
};
extern const struct conf_option option_table[];
/* Loads and checks what the table cannot say (tls none only on loopback, ...). 0 or an error with a text naming the cure. */
int options_load(const char *file, struct options *out, struct err_msg *msg);
/* The same for a text (tests). */
int options_parse(struct str text, struct options *out, struct err_msg *msg);
/* The part that bosh/http.h takes; borrows the lists. */
struct http_options options_http(const struct options *o);
