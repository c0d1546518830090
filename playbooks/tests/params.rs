//! Parameters and bases, where what is read depends on more than one text: the corpus has the rest.

use std::collections::BTreeMap;

use echelon_playbooks::{
    BaseName, Checked, Faults, Given, Playbook, flatten,
    model::{Action, Amount, Param, Waves},
    read, read_with,
};
use echelon_proto::{Digest, ParamName, Span};

const BASE: &str = include_str!("good/params.yaml");
const SHORT: &str = include_str!("good/short.yaml");

const SHOP: &str = r#"
name: shop
version: 1
extends: web-base@3
with: { port: 9090, app: shop, size: 25% }
"#;

/// The playbooks that somebody pushed.
fn given(params: &[(&str, &str)], read: impl FnOnce(&Given<'_>) -> Result<Checked, Faults>) -> Result<Checked, Faults> {
    let bases = |name: &BaseName| (name.to_string() == "web-base@3").then(|| BASE.to_owned());
    read(&Given {
        params: params
            .iter()
            .map(|(name, value)| (ParamName::new(*name).unwrap(), (*value).to_owned()))
            .collect(),
        bases: Some(&bases),
    })
}

fn with(text: &str, params: &[(&str, &str)]) -> Result<Playbook, String> {
    given(params, |given| read_with(text, given))
        .map(|checked| checked.playbook)
        .map_err(|faults| faults.in_file("shop.yaml").to_string())
}

fn argv(playbook: &Playbook) -> Vec<String> {
    let start = playbook
        .machine
        .phases
        .iter()
        .find(|phase| phase.name.as_str() == "start")
        .unwrap();
    match &start.action {
        Action::Run(run) => run.argv.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

/// With another line, or instead of one that is there.
fn edited(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "no {old:?}");
    text.replace(old, new)
}

#[test]
fn a_value_stands_for_a_number_a_span_an_amount_a_truth_and_a_piece_of_text() {
    let playbook = with(
        BASE,
        &[
            ("port", "81"),
            ("bake", "3m"),
            ("size", "7"),
            ("quiet", "false"),
            ("at_once", "9"),
        ],
    )
    .unwrap();
    assert_eq!(
        argv(&playbook),
        ["./bin/start", "--port=81", "81", "${{ host.name }}:81"]
    );
    let deploy = &playbook.stages[0].deploy;
    assert_eq!((deploy.max_unavailable, deploy.max_parallel), (Amount::Hosts(7), 9));
    let Waves::Listed(waves) = &deploy.waves else { panic!() };
    assert_eq!((waves[0].size, waves[0].bake), (Amount::Hosts(7), Span::secs(180)));
    assert!(!playbook.rollback.keep_max_unavailable);
    assert_eq!(playbook.hosts.selector.to_string(), "app=storefront,tier=silver");
    let values: BTreeMap<&str, Option<&str>> = playbook
        .params
        .iter()
        .map(|(name, param)| (name.as_str(), param.value.as_deref()))
        .collect();
    assert_eq!((values["port"], values["tier"]), (Some("81"), Some("silver")));
    assert_eq!(
        playbook.digest,
        Digest::of(BASE.as_bytes()),
        "the digest is of the text, whatever is given"
    );
}

#[test]
fn a_value_that_is_not_of_its_kind_is_one_fault_where_the_parameter_is_declared() {
    for (name, value, want) in [
        (
            "port",
            "0",
            "parameter `port`: \"0\" is not a whole number from 1 to 65535",
        ),
        ("port", "8080, 9", "is not a whole number from 1 to 65535"),
        ("tier", "bronze", "is not one of the words gold, silver"),
        ("bake", "10", "is not a length of time"),
        ("size", "0%", "is not a number of hosts or a percentage"),
        ("quiet", "yes", "is not true or false"),
        ("app", "a\nb", "is not one line of plain characters"),
        ("app", "${{ host.name }}", "has a variable in it"),
        ("app", "shop,env=prod", "is more than one word of a selector"),
        ("prot", "1", "there is no parameter `prot`"),
    ] {
        let faults = with(BASE, &[(name, value)]).unwrap_err();
        assert!(faults.contains(want), "{faults}");
        assert!(faults.ends_with("\n\n1 error, 0 warnings"), "{faults}");
    }
    let faults = with(BASE, &[("port", "0")]).unwrap_err();
    assert!(faults.contains("--> shop.yaml:5:3\n"), "{faults}");
    assert!(
        with(BASE, &[("prot", "1")])
            .unwrap_err()
            .contains("did you mean `port`?")
    );
}

#[test]
fn a_value_that_does_not_fit_its_place_is_shown_there_with_the_name_of_its_parameter() {
    let faults = with(BASE, &[("at_once", "0")]).unwrap_err();
    assert!(
        faults.contains("max_parallel is 0, which is out of its bounds (from parameter `at_once`)"),
        "{faults}"
    );
    assert!(
        faults.contains("      max_parallel: ${{ params.at_once }}\n"),
        "the author's line: {faults}"
    );
}

#[test]
fn a_value_is_never_more_than_a_piece_of_one_scalar() {
    let value = "x, tier: gold }] # \" ' : {";
    let text = edited(BASE, "exclude: maintenance", "exclude: maintenance, unreachable: debt");
    let text = edited(&text, ", unreachable: debt", "");
    let text = edited(
        &text,
        "\"${{ params.port }}\", ",
        "\"${{ params.free }}\", \"<${{ params.free }}>\", ",
    );
    let text = edited(&text, "  at_once: 25", "  at_once: 25\n  free: { type: text }");
    let playbook = with(&text, &[("free", value)]).unwrap();
    assert_eq!(argv(&playbook)[2..4], [value.to_owned(), format!("<{value}>")]);
    let dollar = edited(&text, "<${{ params.free }}>", "$${{ params.free }}");
    let faults = with(&dollar, &[("free", "{{ host.name }}")]).unwrap_err();
    assert!(faults.contains("the value makes a variable of its place"), "{faults}");
}

#[test]
fn values_cannot_make_a_small_text_huge() {
    let many = "${{ params.unit }}".repeat(1000);
    let text = edited(BASE, "--port=${{ params.port }}", &many);
    let faults = with(&text, &[("unit", &"x".repeat(4000))]).unwrap_err();
    assert!(faults.contains("error[E002]"), "{faults}");
}

#[test]
fn without_a_value_all_else_is_checked_and_the_parameter_is_named_as_unset() {
    let text = edited(BASE, "max: 65535, default: 8080", "max: 65535");
    let text = edited(&text, "unit: app.service", "unit: { type: text }");
    let text = edited(&text, "size: 10%", "size: { type: amount }");
    let text = edited(
        &text,
        "\"http://127.0.0.1:${{ params.port }}/health\"",
        "\"${{ params.url }}\"",
    );
    let text = edited(
        &text,
        "  quiet: true",
        "  quiet: true\n  url: { type: text, about: \"of the check\" }",
    );
    let playbook = with(&text, &[]).unwrap();
    let unset: Vec<(&str, &Option<String>)> = playbook
        .unset()
        .map(|(name, param): (_, &Param)| (name.as_str(), &param.value))
        .collect();
    assert_eq!(
        unset,
        [("port", &None), ("size", &None), ("unit", &None), ("url", &None)]
    );
    let given = [
        ("port", "1"),
        ("size", "1"),
        ("unit", "x.service"),
        ("url", "http://x/"),
    ];
    assert_eq!(with(&text, &given).unwrap().unset().count(), 0);
    let faults = flatten(&text, &Given::default()).unwrap_err().to_string();
    assert!(
        faults.contains("give it with `--param url=...`: one line of text; of the check"),
        "{faults}"
    );
    assert!(faults.ends_with("4 errors, 0 warnings"), "{faults}");
    // What is wrong with the rest is found in spite of it.
    let faults = with(&edited(&text, "via: [stopped]", "via: [stoped]"), &[]).unwrap_err();
    assert!(
        faults.contains("did you mean `stopped`?") && faults.ends_with("1 error, 0 warnings"),
        "{faults}"
    );
}

#[test]
fn the_short_case_has_the_librarys_machine_and_its_own_waves() {
    assert!(SHORT.lines().count() <= 12, "it has grown");
    let playbook = read(SHORT).unwrap().playbook;
    let (name, library) = echelon_playbooks::LIBRARY[0];
    let whole = read(library).unwrap().playbook;
    let base = playbook.base.clone().unwrap();
    assert_eq!((base.name.as_str(), base.version, base.library), (name, 1, true));
    assert_eq!(base.digest, whole.digest);
    assert_eq!(playbook.machine, whole.machine);
    assert_eq!(playbook.gates, whole.gates);
    let (deploy, of_base) = (&playbook.stages[0].deploy, &whole.stages[0].deploy);
    assert_eq!(
        (deploy.max_parallel, &deploy.failure_budget),
        (of_base.max_parallel, &of_base.failure_budget)
    );
    let Waves::Listed(waves) = &deploy.waves else { panic!() };
    assert_eq!(waves.len(), 3);
    assert_eq!(playbook.hosts.selector.to_string(), "app=storefront,env=prod");
}

#[test]
fn with_gives_values_to_the_base_and_may_hand_on_its_own() {
    let playbook = with(SHOP, &[]).unwrap();
    assert_eq!(argv(&playbook)[2], "9090");
    assert_eq!(playbook.stages[0].deploy.max_unavailable, Amount::Percent(25));
    assert_eq!(playbook.hosts.selector.to_string(), "app=shop,tier=silver");
    assert!(playbook.params.is_empty(), "the base's parameters are settled");
    let handed =
        edited(SHOP, "port: 9090", "port: \"${{ params.port }}\"") + "params: { port: { type: number, min: 9000 } }\n";
    assert_eq!(argv(&with(&handed, &[("port", "9001")]).unwrap())[2], "9001");
    let unset = with(&handed, &[]).unwrap();
    assert_eq!(unset.unset().count(), 1, "a stand-in is handed on as one");
    let faults = with(&handed, &[("port", "70000")]).unwrap_err();
    let want = "parameter `port`: \"70000\" is not a whole number from 1 to 65535 (from parameter `port`)";
    assert!(faults.contains(want), "{faults}");
    assert!(faults.contains("--> shop.yaml:5:15\n"), "{faults}");
}

#[test]
fn what_is_wrong_in_the_bases_text_is_shown_there_under_its_name() {
    let faults = with(&edited(SHOP, "size: 25%", "at_once: 0"), &[]).unwrap_err();
    assert!(faults.contains("(from parameter `at_once` of web-base@3)"), "{faults}");
    assert!(faults.contains("--> web-base@3:44:21\n"), "{faults}");
    assert!(faults.contains("max_parallel: ${{ params.at_once }}\n"), "{faults}");
}

#[test]
fn with_says_what_the_base_does_not_have_and_gives_what_it_needs() {
    let faults = with(&edited(SHOP, "port: 9090", "prot: 9090, tier: 1, unit: 1.5"), &[]).unwrap_err();
    for want in ["did you mean `port`?", "tier must be text", "unit must be text"] {
        assert!(faults.contains(want), "{want} in {faults}");
    }
    assert!(faults.ends_with("3 errors, 0 warnings"), "{faults}");
    let needy = edited(BASE, "max: 65535, default: 8080", "max: 65535");
    let bases = |_: &BaseName| Some(needy.clone());
    let given = Given {
        bases: Some(&bases),
        ..Given::default()
    };
    let faults = read_with(&edited(SHOP, "port: 9090, ", ""), &given)
        .unwrap_err()
        .to_string();
    assert!(
        faults.contains("error[E065]: web-base@3 needs a value for its parameter `port`"),
        "{faults}"
    );
    assert!(faults.ends_with("1 error, 0 warnings"), "{faults}");
}

#[test]
fn keys_of_an_extending_playbook_take_the_bases_place_one_by_one() {
    let text = format!(
        "{SHOP}hosts: {{ selector: other }}\ngates: {{ health: {{ kind: soak, for: 1h }}, rest: {{ kind: soak, for: 2m }} }}\n\
         stages: [{{ name: roll, deploy: {{ max_parallel: 3, waves: {{ ladder: {{ gates: [rest, health] }} }} }} }}]\n\
         on_failure: {{ gate: rollback }}\n"
    );
    let playbook = with(&text, &[]).unwrap();
    assert_eq!(playbook.hosts.selector.to_string(), "other");
    assert_eq!(playbook.hosts.exclude.unwrap().to_string(), "maintenance");
    assert_eq!(playbook.gates.len(), 2);
    let deploy = &playbook.stages[0].deploy;
    assert_eq!((deploy.max_parallel, deploy.max_unavailable), (3, Amount::Percent(25)));
    assert!(matches!(deploy.waves, Waves::Ladder { .. }));
    assert!(playbook.rollback.keep_max_unavailable);
}

#[test]
fn a_base_is_the_one_that_was_named_and_extends_nothing_itself() {
    let text = SHOP.to_owned();
    let against = |base: &str| {
        let bases = |_: &BaseName| Some(base.to_owned());
        let given = Given {
            bases: Some(&bases),
            ..Given::default()
        };
        read_with(&text, &given).unwrap_err().to_string()
    };
    let other = against(&edited(BASE, "version: 3", "version: 4"));
    assert!(
        other.contains("the one there is web-base@4") && other.contains("`web-base@4`"),
        "{other}"
    );
    let deep = against(&edited(
        BASE,
        "version: 3",
        "version: 3\nextends: library/systemd-rolling@1",
    ));
    assert!(deep.contains("there is only one level"), "{deep}");
    let broken = against("name: web-base\nversion: 3\nhosts: [");
    assert!(broken.contains("--> web-base@3:3:"), "{broken}");
    let huge = against(&"#".repeat(2 << 20));
    assert!(huge.contains("has more than the"), "{huge}");
}

#[test]
fn a_flattened_playbook_is_read_as_the_same_one() {
    let shop = given(&[], |given| {
        let text = flatten(SHOP, given)?;
        assert!(
            !text.contains("params") && !text.contains("extends") && !text.contains("with: {"),
            "{text}"
        );
        assert!(
            text.contains("- \"9090\"\n"),
            "a number that was read as text has quotes: {text}"
        );
        read(&text)
    });
    let mut again = shop.unwrap().playbook;
    let once = with(SHOP, &[]).unwrap();
    (again.digest, again.base) = (once.digest, once.base.clone());
    assert_eq!(again, once);
    for text in [
        include_str!("good/everything.yaml"),
        include_str!("good/smallest.yaml"),
        BASE,
        SHORT,
    ] {
        let flat = flatten(text, &Given::default()).unwrap();
        let (mut again, once) = (read(&flat).unwrap().playbook, read(text).unwrap().playbook);
        (again.digest, again.base, again.params) = (once.digest, once.base.clone(), once.params.clone());
        assert_eq!(again, once);
        assert_eq!(flatten(&flat, &Given::default()).unwrap(), flat);
    }
}

#[test]
fn the_text_of_the_base_comes_with_the_playbook() {
    let checked = given(&[], |given| read_with(SHOP, given)).unwrap();
    assert_eq!(checked.base.as_deref(), Some(BASE));
    assert_eq!(checked.playbook.base.unwrap().digest, Digest::of(BASE.as_bytes()));
    assert_eq!(read(BASE).unwrap().base, None);
}

#[test]
fn the_readmes_example_of_a_base_extends_its_example_of_parameters() {
    let readme = include_str!("../README.md");
    let examples: Vec<&str> = readme
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(
        examples.contains(&BASE) && examples.contains(&SHORT),
        "the examples are not those of tests/good"
    );
    let shop = examples
        .iter()
        .find(|example| example.starts_with("# not-alone"))
        .unwrap();
    let checked =
        given(&[("port", "8081")], |given| read_with(shop, given)).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(checked.warnings, []);
    assert_eq!(argv(&checked.playbook)[2], "8081");
    assert_eq!(checked.playbook.gates.len(), 2);
}
