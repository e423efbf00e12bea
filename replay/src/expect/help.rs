//! What the help says about the two commands.

pub(crate) const TEST_ABOUT: &str = "Checks that a config still does with traffic what it should";

pub(crate) const TEST_LONG_ABOUT: &str = "\
Checks that a config still does with traffic what it should.

An expectation file has cases: a config, captures or knocks written out, and who must get in, how \
often, when and for how long. A door that opens for anybody else fails the case. A failure shows \
what was expected beside what came, and the attempt that explains it.

Each case is judged by the engine itself, as run does. docs/TESTS.md describes the file.";

pub(crate) const TEST_EXAMPLES: &str = "\
Examples:
  Write down what happens today, and check that it goes on to happen:
    knock-replay record -c knockd.conf knocks.pcap > knocks.toml
    knock-replay test knocks.toml

  In a CI job, with a report, and every knock of every door in some case:
    knock-replay test --junit report.xml --coverage-threshold 100 tests/*.toml

  Accept what a new config does, and look at the change:
    knock-replay test --update knocks.toml
";

pub(crate) const TEST_EXIT_CODES: &str = "\
Exit codes:
  0  everything was as expected, or was updated
  1  a case failed, or the coverage is below the threshold
  2  it could not run: a wrong command line, an error in a file or config, a damaged capture";

pub(crate) const RECORD_ABOUT: &str = "Writes down what happens in a capture, for test to check";

pub(crate) const RECORD_LONG_ABOUT: &str = "\
Writes down what happens in a capture, for test to check.

The case goes to standard output: who gets in, how often, and how long the door stays open, besides \
lockouts and what is suppressed, refused or used up. Paths stand there as given: keep the file in \
the folder that they begin in.";

pub(crate) const RECORD_EXAMPLES: &str = "\
Examples:
  Everybody who gets in today must get in tomorrow, and nobody else:
    knock-replay record -c knockd.conf knocks.pcap > knocks.toml
    knock-replay test knocks.toml
";
