/* server/im/opaque: archive ids that tell nothing (I10) and come back as the number they were made of. */
#include "server/im/opaque.h"
#include "base/err.h"
#include "base/random.h"
#include "tests/lib/test.h"

static const uint8_t key1[32] = { 1, 2, 3 }, key2[32] = { 1, 2, 4 };

static uint64_t printed(uint64_t gid, char out[OPAQUE_LEN])
{
	uint64_t back = ~gid;

	opaque_print(gid, out);
	return opaque_parse(str_of(out, OPAQUE_LEN), &back) ? ~gid : back;
}

TEST(comes_back)
{
	static const uint64_t edges[] = { 0, 1, UINT32_MAX, 1ull << 32, (1ull << 32) + 1, 1ull << 63, UINT64_MAX };
	char id[OPAQUE_LEN];
	unsigned wrong = 0;

	opaque_init(key1);
	for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++)
		ok(printed(edges[i], id) == edges[i], "%llu is %.16s and back", (unsigned long long)edges[i], id);
	for (uint64_t i = 1; i <= 100000; i++)
		wrong += printed(i, id) != i;
	is_int(wrong, 0);
	for (int i = 0; i < 1000; i++) {
		uint64_t r = random_u64();
		wrong += printed(r, id) != r;
	}
	is_int(wrong, 0);
}

/* Neighbours are neither in order, nor at one distance, nor alike in their first digits. */
TEST(i10_ids_of_1000_messages_say_nothing)
{
	char id[1001][OPAQUE_LEN];
	unsigned up = 0, run = 0, longest = 0, same_step = 0, first[16] = { 0 };
	uint64_t v[1001];

	opaque_init(key1);
	for (uint64_t i = 0; i <= 1000; i++) {
		opaque_print(i + 1, id[i]);
		v[i] = 0;
		for (int k = 0; k < OPAQUE_LEN; k++) {
			unsigned d = (unsigned)(id[i][k] <= '9' ? id[i][k] - '0' : id[i][k] - 'a' + 10);
			v[i] = v[i] << 4 | d;
			first[d] += k == 0;
		}
	}
	for (int i = 1; i <= 1000; i++) {
		bool rises = v[i] > v[i - 1];
		up += rises;
		run = rises ? run + 1 : 0;
		if (run > longest)
			longest = run;
		same_step += i > 1 && v[i] - v[i - 1] == v[i - 1] - v[i - 2];
	}
	ok(up > 400 && up < 600, "about half of the steps rise (%u)", up);
	ok(longest < 20, "no long run upwards (%u)", longest);
	is_int(same_step, 0);
	for (int d = 0; d < 16; d++)
		ok(first[d] > 20 && first[d] < 120, "first digit %x comes %u times", d, first[d]);
}

TEST(another_secret_another_id)
{
	char a[OPAQUE_LEN], b[OPAQUE_LEN];
	uint64_t back = 0;

	opaque_init(key1);
	opaque_print(7, a);
	opaque_init(key2);
	opaque_print(7, b);
	ok(memcmp(a, b, OPAQUE_LEN) != 0, "the secret makes the id");
	is_int(opaque_parse(str_of(a, OPAQUE_LEN), &back), 0);
	ok(back != 7, "and is needed to read it");
}

TEST(bad_input)
{
	static const char *const bad[] = { "",
					   "0",
					   "123456789abcdef",
					   "123456789abcdef01",
					   "123456789abcdefg",
					   "123456789abcde f",
					   "-23456789abcdef0",
					   "0x3456789abcdef0",
					   "123456789abcde\xd0\xb0" };
	uint64_t gid = 99;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		is_int(opaque_parse(str_c(bad[i]), &gid), ERR_SYNTAX);
	is_int(opaque_parse(STR_NONE, &gid), ERR_SYNTAX);
	is_int(opaque_parse(STR("0000000\00000000000"), &gid), ERR_SYNTAX);
	is_int(gid, 99);
}

/* The portal's numbers: exact as doubles, one to one, and as silent about order as the ids (I10). */
TEST(numbers_come_back_and_say_nothing)
{
	static const uint64_t edges[] = { 1, UINT32_MAX, 1ull << 32, (1ull << 52) - 1 };
	unsigned wrong = 0, up = 0, same_step = 0;
	uint64_t before = 0, step = 0;

	opaque_init(key1);
	for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
		uint64_t n = opaque_number(edges[i]);
		ok(n && n < 1ull << 52 && opaque_number_parse(n) == edges[i], "%llu is %llu and back",
		   (unsigned long long)edges[i], (unsigned long long)n);
	}
	for (uint64_t i = 1; i <= 100000; i++) {
		uint64_t n = opaque_number(i);
		wrong += n == 0 || n >= 1ull << 52 || (uint64_t)(double)n != n || opaque_number_parse(n) != i;
		up += n > before;
		same_step += n - before == step;
		step = n - before;
		before = n;
	}
	is_int(wrong, 0);
	is_int(same_step, 0);
	ok(up > 49000 && up < 51000, "half of the steps rise (%u)", up);
	is_int(opaque_number(0), 0);
	is_int(opaque_number(1ull << 52), 0);
	is_int(opaque_number_parse(0), 0);
	is_int(opaque_number_parse(1ull << 52), 0);
	is_int(opaque_number_parse(UINT64_MAX), 0);
	uint64_t one = opaque_number(1);
	opaque_init(key2);
	ok(opaque_number(1) != one, "the secret makes the number");
}
