/* The first web page: that the server runs, and how to connect. Russian or English by Accept-Language; no script. Any worker. */
#include "base/mem.h"
#include "bosh/http.h"
#include "bosh/static.h"
#include "server/admin/admin.h"
#include "server/im/im.h"
#include "server/im/org.h"

struct texts {
	const char *lang, *title, *lead, *how, *server, *port, *login, *password, *security, *login_is, *password_is,
		*security_is, *clients, *people, *people_in;
};
static const struct texts english = {
	"en",
	"vestnik",
	"The company messenger is running.",
	"Connect with a Jabber client",
	"Domain",
	"Port",
	"Login",
	"Password",
	"Encryption",
	"your login@",
	"the one of your account",
	"STARTTLS, always on",
	"Use Gajim, Psi, Pidgin, Conversations, Miranda NG or another XMPP client: add an account with these data and "
	"your colleagues appear by department.",
	"Your company",
	"People in the contact list: ",
};
static const struct texts russian = {
	"ru",
	"vestnik",
	"Мессенджер компании работает.",
	"Подключение Jabber-клиента",
	"Домен",
	"Порт",
	"Логин",
	"Пароль",
	"Шифрование",
	"ваш логин@",
	"пароль вашей учётной записи",
	"STARTTLS, всегда включено",
	"Подходят Gajim, Psi, Pidgin, Conversations, Miranda NG и другие клиенты XMPP: добавьте учётную запись с этими "
	"данными, и коллеги появятся по отделам.",
	"Ваша компания",
	"Людей в списке контактов: ",
};

static const char style[] =
	":root{color-scheme:light "
	"dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#5b6675;--line:#e1e5ea;--dot:#1a7f4b}"
	"@media(prefers-color-scheme:dark){:root{--bg:#14181e;--card:#1d232b;--ink:#e8ecf1;--soft:#a3adba;--line:#"
	"313a45;--dot:#4cc38a}}"
	"*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 "
	"system-ui,sans-serif}"
	"main{max-width:40rem;margin:0 auto;padding:4rem 1rem}h1{font-size:1.75rem;margin:0 0 "
	".25rem}h2{font-size:1.1rem;margin:0 0 1rem}"
	".lead{color:var(--soft);margin:0 0 "
	"2rem}.lead::before{content:'';display:inline-block;width:.6rem;height:.6rem;border-radius:50%;"
	"background:var(--dot);margin-right:.5rem}section{background:var(--card);border:1px solid "
	"var(--line);border-radius:.75rem;padding:1.5rem;"
	"margin-bottom:1rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.5rem 1.5rem;margin:0 0 "
	"1rem}dt{color:var(--soft)}"
	"dd{margin:0;font-weight:600;overflow-wrap:anywhere}p{margin:0}"
	"@media(max-width:30rem){main{padding-top:2rem}section{padding:1.25rem}dl{grid-template-columns:1fr;gap:0}dd{"
	"margin-bottom:.5rem}}";

static void add_text(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const char *e = s.p[i] == '<' ? "&lt;" : s.p[i] == '&' ? "&amp;" : s.p[i] == '"' ? "&quot;" : NULL;
		if (e)
			buf_str_add(b, str_c(e));
		else
			buf_byte(b, s.p[i]);
	}
}

static void add_pair(struct buf *b, const char *name, const char *value, const char *more)
{
	buf_printf(b, "<dt>%s</dt><dd>", name);
	add_text(b, str_c(value));
	add_text(b, str_c(more));
	buf_lit(b, "</dd>");
}

static void page(struct http_request *rq)
{
	if (static_answer(rq, STR("/index.html")))
		return; /* the web client */
	struct str accept = http_header_get(rq, "accept-language");
	const struct texts *t = str_starts(accept, STR("ru")) ? &russian : &english;
	size_t people;
	struct buf b;

	org_people(org_current(), &people);
	buf_init(&b, 65536);
	buf_printf(&b,
		   "<!doctype html><html lang=\"%s\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
		   "content=\"width=device-width\">",
		   t->lang);
	buf_printf(&b, "<title>%s</title><link rel=\"stylesheet\" href=\"/page.css\"></head><body><main>", t->title);
	buf_printf(&b, "<h1>%s</h1><p class=\"lead\">%s</p><section><h2>%s</h2><dl>", t->title, t->lead, t->how);
	add_pair(&b, t->server, im.domains[0], "");
	add_pair(&b, t->port, im.xmpp_port, "");
	add_pair(&b, t->login, t->login_is, im.domains[0]);
	add_pair(&b, t->password, t->password_is, "");
	add_pair(&b, t->security, t->security_is, "");
	buf_printf(&b, "</dl><p>%s</p></section><section><h2>%s</h2><p>%s%zu</p></section></main></body></html>\n",
		   t->clients, t->people, t->people_in, people);
	http_answer(rq, 200, "text/html; charset=utf-8", buf_str(&b), "Vary: Accept-Language\r\n");
	buf_clear(&b);
}

static void page_css(struct http_request *rq)
{
	http_answer(rq, 200, "text/css; charset=utf-8", str_c(style), NULL);
}

const struct route page_routes[] = {
	{ "GET", "/", ROUTE_OPEN, page },
	{ "GET", "/page.css", ROUTE_OPEN, page_css },
	{ .path = NULL },
};
