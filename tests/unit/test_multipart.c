/* multipart/form-data (bosh/multipart.h): every cut of a body gives the same file; malformed ones are refused. */
#include "bosh/multipart.h"
#include "base/err.h"
#include "tests/lib/test.h"

static struct buf got;
static unsigned begun;

static int on_data(void *ctx, struct str piece)
{
	(void)ctx;
	buf_str_add(&got, piece);
	return 0;
}

static int on_begin(void *ctx)
{
	(void)ctx;
	begun++;
	return 0;
}

#define TYPE STR("multipart/form-data; boundary=\"x-y\"")
#define BODY                                                                                                           \
	"--x-y\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nfield\r\n--x-y\r\n"                                \
	"Content-Disposition: form-data; name=\"f\"; filename=\"a b.txt\"\r\nContent-Type: "                           \
	"text/plain\r\n\r\nline\r\n--x-\r\n-\r\n"                                                                      \
	"--x-y\r\nContent-Disposition: form-data; name=\"g\"; filename=\"second\"\r\n\r\nnot "                         \
	"taken\r\n--x-y--\r\nepilogue"

/* The body in pieces of n bytes; the result of the end. */
static int feed(struct multipart *m, struct str body, size_t n)
{
	int err = multipart_init(m, TYPE);

	m->data = on_data;
	m->begin = on_begin;
	buf_reset(&got);
	begun = 0;
	while (!err && body.n) {
		size_t k = n < body.n ? n : body.n;
		err = multipart_feed(m, str_of(body.p, k));
		body = str_of(body.p + k, body.n - k);
	}
	return err ? err : multipart_end(m);
}

TEST(every_cut_gives_the_file)
{
	struct multipart m;

	buf_init(&got, 65536);
	for (size_t n = 1; n <= sizeof BODY; n++) {
		int err = feed(&m, STR(BODY), n);
		if (err || begun != 1 || !str_eq(buf_str(&got), STR("line\r\n--x-\r\n-")) ||
		    !str_eq(m.name, STR("a b.txt")) || !str_eq(m.type, STR("text/plain")))
			ok(false, "pieces of %zu bytes: err %d, begun %u, \"%.*s\"", n, err, begun,
			   STR_ARG(buf_str(&got)));
		multipart_clear(&m);
	}
	ok(true, "all cuts were tried");
	buf_clear(&got);
}

TEST(bodies_that_end_early_or_hold_no_file)
{
	struct multipart m;

	buf_init(&got, 65536);
	for (size_t n = 0; n < sizeof BODY - 30; n++) {
		if (feed(&m, str_of(BODY, n), 7) == 0 && n < strlen(BODY) - strlen("\r\nepilogue"))
			ok(false, "cut after %zu bytes is refused", n);
		multipart_clear(&m);
	}
	is_int(feed(&m, STR("--x-y\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nfield\r\n--x-y--\r\n"), 5),
	       ERR_SYNTAX);
	multipart_clear(&m);
	char head[6000];
	memset(head, 'a', sizeof head);
	memcpy(head, "--x-y\r\n", 7);
	is_int(feed(&m, str_of(head, sizeof head), 100), ERR_SYNTAX);
	multipart_clear(&m);
	buf_clear(&got);
}

TEST(other_types_are_not_taken)
{
	struct multipart m;

	is_int(multipart_init(&m, STR("text/plain")), ERR_SYNTAX);
	is_int(multipart_init(&m, STR("multipart/form-data")), ERR_SYNTAX);
	is_int(multipart_init(&m, STR("multipart/form-data; boundary=")), ERR_SYNTAX);
	is_int(multipart_init(
		       &m,
		       STR("multipart/form-data; "
			   "boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")),
	       ERR_SYNTAX);
	is_int(multipart_init(&m, STR("Multipart/Form-Data; boundary=x")), 0);
	multipart_clear(&m);
}
