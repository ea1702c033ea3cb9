/* A checkpoint gives back every number of the progress, and every block; one of another run is refused. */
#include "train/checkpoint.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/msg.h"
#include "child.h"
#include "device.h"

#include <stdlib.h>

static char dir[] = "/tmp/bd-test-checkpoint.XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	if (chdir("/") != 0)
		return -1;
	bd_remove_tree(dir);
	return 0;
}

/* Each member another number, none of them what is there without a checkpoint. */
static const struct bd_progress progress = {
    .step = 101,
    .tokens = 102,
    .records = 103,
    .balanced = 104,
    .ce2 = 0.1,
    .ld2 = 1e300,
    .ad2 = 1.0 / 3,
    .other2 = 5e-324,
    .confident = 105,
    .confidence = 0.7,
    .scored = true,
    .best_step = 106,
    .scored_step = 107,
    .best_accuracy = 0.875,
    .best_nll = 2.0 / 7,
    .log_bytes = INT64_C(1) << 53,
    .threads = 108,
};

static float params[] = {1.5f, -0.0f, 3e-40f};
static uint8_t codes[] = {0, 1, 255, 7};

static struct bd_identity abc = {"abc", "first"}, abd = {"abd", "other"};

static bool load_n(const struct bd_identity *who, size_t n)
{
	struct bd_progress p = {0};
	float got[3];
	struct bd_blob blob = {"params", BD_F32, got, n};
	json_t *extra = NULL;

	return bd_checkpoint_load("aside", &(struct bd_state){cpu(), who, &p, &extra, &blob, 1});
}

static void load(void *who)
{
	load_n(who, 3);
}

static void load_shorter(void *who)
{
	load_n(who, 2);
}

static void test_round_trip(void **state)
{
	struct bd_blob saved[] = {{"params", BD_F32, params, 3}, {"codes", BD_U8, codes, 4}};
	float got[3] = {0}, other = 9;
	uint8_t got_codes[4] = {0};
	struct bd_blob wanted[] = {
	    {"codes", BD_U8, got_codes, 4}, {"not there", BD_F32, &other, 1}, {"params", BD_F32, got, 3}};
	struct bd_progress p = {0}, was = progress;
	json_t *extra = json_pack("[[i, i]]", 3, 4), *got_extra = json_array();
	const struct bd_state save = {cpu(), &abc, &was, &extra, saved, 2},
	                      back = {cpu(), &abc, &p, &got_extra, wanted, 3};

	(void)state;
	assert_false(bd_checkpoint_load("aside", &back));
	bd_checkpoint_save("aside", &save);
	assert_true(bd_checkpoint_load("aside", &back));
	assert_memory_equal(got, params, sizeof(params));
	assert_memory_equal(got_codes, codes, sizeof(codes));
	assert_true(other == 9);
	assert_true(json_equal(extra, got_extra));
#define SAME(name) assert_true(p.name == progress.name)
	SAME(step), SAME(tokens), SAME(records), SAME(balanced);
	SAME(ce2), SAME(ld2), SAME(ad2), SAME(other2);
	SAME(confident), SAME(confidence);
	SAME(scored), SAME(best_step), SAME(scored_step), SAME(best_accuracy), SAME(best_nll);
	SAME(log_bytes), SAME(threads);
#undef SAME
	assert_int_equal(sizeof(p), 17 * 8); /* a new member is to be saved, and compared here */
	child_dies(load, &abd, BD_USAGE, "other options");
	child_dies(load_shorter, &abc, BD_DATA, "params has 3 elements of F32 instead of 2");
	json_decref(extra);
	json_decref(got_extra);
}

/* Versions count from 1; a checkpoint of the first says none. */
static void test_version(void **state)
{
	static const struct {
		const char *version, *text;
	} bad[] = {
	    {"0", "\"version\" is 0; it must be 1 to"},
	    {"-1", "\"version\" is -1; it must be 1 to"},
	    {"\"1\"", "\"version\" is not a whole number"},
	};
	struct bd_blob saved = {"params", BD_F32, params, 3};
	struct bd_progress was = progress;
	json_t *extra = json_array();

	(void)state;
	bd_checkpoint_save("aside", &(struct bd_state){cpu(), &abc, &was, &extra, &saved, 1});
	assert_int_equal(unlink("aside/bd-digests.txt"), 0); /* not a matter of digests */
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		json_t *j = bd_json_load("aside/state.json");
		json_object_set_new(j, "version", json_loads(bad[i].version, JSON_DECODE_ANY, NULL));
		char *text = bd_json_text(j, true);
		bd_write_file("aside/state.json", text, strlen(text));
		child_dies(load, &abc, BD_DATA, bad[i].text);
		bd_free(text);
		json_decref(j);
	}
	json_decref(extra);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_version),
	};

	bd_msg_tool("test_checkpoint");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
