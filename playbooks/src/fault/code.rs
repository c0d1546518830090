//! The codes of faults, by tens: E00x the text, E01x its shape, E02x values, E03x names, E04x the machine, E05x how it
//! is rolled, E06x parameters and what it extends, E07x what actions and conditions say, W10x and W11x warnings. A code
//! is never given to another fault. `playbooks/README.md` lists them for people.

pub(crate) const SYNTAX: &str = "E001";
pub(crate) const TOO_LARGE: &str = "E002";
pub(crate) const TAB: &str = "E003";
pub(crate) const NOT_PLAIN: &str = "E004";
pub(crate) const DUPLICATE_KEY: &str = "E005";
pub(crate) const AMBIGUOUS_KEY: &str = "E006";
pub(crate) const ONE_DOCUMENT: &str = "E007";
pub(crate) const TOO_MANY_FAULTS: &str = "E008";

pub(crate) const UNKNOWN_KEY: &str = "E010";
pub(crate) const NOT_YET: &str = "E011";
pub(crate) const MISSING_KEY: &str = "E012";
pub(crate) const WRONG_TYPE: &str = "E013";
pub(crate) const EMPTY: &str = "E014";
pub(crate) const MISPLACED: &str = "E015";

pub(crate) const NAME: &str = "E020";
pub(crate) const NUMBER: &str = "E021";
pub(crate) const SPAN: &str = "E022";
pub(crate) const AMOUNT: &str = "E023";
pub(crate) const TEMPLATE: &str = "E024";
pub(crate) const SELECTOR: &str = "E025";
pub(crate) const CHOICE: &str = "E026";
pub(crate) const QUOTES: &str = "E027";
pub(crate) const TEXT: &str = "E028";
pub(crate) const CLOCK: &str = "E029";

pub(crate) const UNKNOWN_STATE: &str = "E030";
pub(crate) const UNKNOWN_PHASE: &str = "E031";
pub(crate) const UNKNOWN_GATE: &str = "E032";
pub(crate) const UNKNOWN_OPERATION: &str = "E033";
pub(crate) const DUPLICATE_NAME: &str = "E034";
pub(crate) const UNKNOWN_ACTION: &str = "E035";
pub(crate) const UNKNOWN_DATACENTER: &str = "E036";
pub(crate) const UNKNOWN_WAVE: &str = "E037";

pub(crate) const ONE_ACTION: &str = "E040";
pub(crate) const UNREACHABLE_GOAL: &str = "E041";
pub(crate) const DEAD_END: &str = "E042";
pub(crate) const NO_WAY_BACK: &str = "E043";
pub(crate) const NO_UNDO: &str = "E044";
pub(crate) const NOTHING_SETS_RELEASE: &str = "E045";
pub(crate) const INITIAL_SERVES: &str = "E046";
pub(crate) const NEVER_IN_TIME: &str = "E047";
pub(crate) const OVERLAP: &str = "E048";
pub(crate) const MONITOR_OF_INITIAL: &str = "E049";

pub(crate) const WAVES: &str = "E050";
pub(crate) const ONE_HEALTH_GATE: &str = "E051";
pub(crate) const NO_GROUPS: &str = "E052";
pub(crate) const GATE_NEVER_IN_TIME: &str = "E053";
pub(crate) const NO_CONTROL: &str = "E054";

pub(crate) const UNKNOWN_PARAM: &str = "E060";
pub(crate) const PARAM_VALUE: &str = "E061";
pub(crate) const PARAM_PLACE: &str = "E062";
pub(crate) const BASE: &str = "E063";
pub(crate) const NOT_EXTENDED: &str = "E064";
pub(crate) const PARAM_NEEDED: &str = "E065";

pub(crate) const CONDITION: &str = "E070";
pub(crate) const ALWAYS_THE_SAME: &str = "E071";
pub(crate) const FILE_MODE: &str = "E072";
pub(crate) const SIZE: &str = "E073";
pub(crate) const SECRET: &str = "E074";
pub(crate) const PATH: &str = "E075";
pub(crate) const WRONG_RUNNER: &str = "E076";
pub(crate) const ONE_CONTENT: &str = "E077";
pub(crate) const NEVER_ANSWERED: &str = "E078";

pub(crate) const UNREACHABLE_STATE: &str = "W101";
pub(crate) const NEVER_CHOSEN: &str = "W102";
pub(crate) const UNUSED_GATE: &str = "W103";
pub(crate) const RELEASE_NOT_SET: &str = "W104";
pub(crate) const DONE_UNSEEN: &str = "W105";
pub(crate) const SECRET_WRITTEN_OUT: &str = "W106";
pub(crate) const WRITABLE_BY_ALL: &str = "W107";
pub(crate) const IDLE_BAKE: &str = "W108";
pub(crate) const DRAINED_IN_SERVICE: &str = "W109";
pub(crate) const UNUSED_PARAM: &str = "W110";
pub(crate) const SPREAD_IN_GROUP: &str = "W111";
pub(crate) const LONELY_LANE: &str = "W112";
pub(crate) const ALMOST_VARIABLE: &str = "W113";
pub(crate) const RANGE: &str = "W114";
