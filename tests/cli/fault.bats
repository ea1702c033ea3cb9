# When the system fails: a little of tests/fault, which see.

bats_require_minimum_version 1.5.0

setup() {
	fault=$BATS_TEST_DIRNAME/../fault
}

@test "calls that fail: status 4, nothing under a final name, no earlier result lost" {
	[ -z "$SAN" ] || skip "AddressSanitizer must be loaded first"
	sh "$fault/io.sh" 2
}

@test "kill -9: results are whole, trainings go on" {
	sh "$fault/kill.sh" 5
}

@test "a service among hostile lines answers or refuses every one" {
	sh "$fault/serve.sh" 2
}
