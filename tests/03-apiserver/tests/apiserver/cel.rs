//! Expressions: what Kubernetes' libraries answer, what is refused, and that nothing here panics
//! or runs for ever.

use crate::heart::cel::{Budget, EvalError, Program, Scope, Type};
use proptest::prelude::*;
use serde_json::{Value, json};

fn object() -> Value {
    json!({
        "metadata": { "name": "web", "labels": { "app": "web", "a/b": "c" } },
        "spec": {
            "replicas": 3, "ratio": 0.5, "image": "nginx:1.27", "namespace": "dev", "x-y": 1,
            "ports": [{ "name": "http", "port": 80 }, { "name": "https", "port": 443 }],
            "nothing": null,
        },
    })
}

fn eval(expression: &str) -> Result<Value, String> {
    let program = Program::compile(expression, &["object", "self"]).map_err(|e| e.to_string())?;
    let object = object();
    program.eval(&[("object", &object), ("self", &object["spec"])]).map_err(|e| e.to_string())
}

#[test]
fn expressions_answer_as_upstream_does() {
    // Each of them is true. The values are those of cel-go's and Kubernetes' documentation.
    let all = "
        object.spec.replicas == 3 && self.replicas <= 5
        self.ratio * 2.0 == 1.0
        has(self.image) && !has(self.missing) && has(object.metadata.labels)
        self.__namespace__ == 'dev' && self.x__dash__y == 1
        object.metadata.labels['a/b'] == 'c' && 'app' in object.metadata.labels
        self.ports.all(p, p.port < 1000) && self.ports.exists(p, p.name == 'http')
        self.ports.exists_one(p, p.port == 443) && self.ports.map(p, p.name) == ['http', 'https']
        self.ports.filter(p, p.port > 100).size() == 1 && self.ports.map(p, p.port > 100, p.name) == ['https']
        self.ports.all(i, p, p.port == [80, 443][i]) && {'a': 1}.exists(k, v, k == 'a' && v == 1)
        [1, 2].transformList(i, x, i + x) == [1, 3] && {'a': 1}.transformMap(k, v, v + 1) == {'a': 2}
        self.?missing.orValue('x') == 'x' && self.?image.hasValue() && !self.?missing.?deeper.hasValue()
        object.?metadata.?labels['app'].orValue('-') == 'web' && self.ports[?5].or(optional.of(1)).value() == 1
        optional.none().optMap(x, x + 1).orValue(7) == 7 && optional.of(1).optMap(x, x + 1).value() == 2
        [?self.?missing, 1] == [1] && {?'a': self.?missing} == {}
        true || 1 / 0 == 1
        !(1 / 0 == 1 && false)
        [0, 1].exists(x, 1 / x == 1)
        dyn(1) == 1.0 && dyn(1u) == 1 && 2 > 1.5 && dyn(1) != '1'
        7 / 2 == 3 && -7 % 3 == -1 && 2.0 / 0.0 > 1e308 && -(-5) == 5
        'abc'.charAt(1) == 'b' && 'abc'.charAt(3) == '' && 'hällo'.size() == 5
        'tacocat'.indexOf('ac', 2) == -1 && 'tacocat'.lastIndexOf('at') == 5 && 'hello'.indexOf('l') == 2
        'TacoCät'.lowerAscii() == 'tacocät' && 'TacoCÆt Xii'.upperAscii() == 'TACOCÆT XII'
        'hello hello'.replace('he', 'we', 1) == 'wello hello' && 'ab'.replace('', '_') == '_a_b_'
        'hello hello'.split(' ') == ['hello', 'hello'] && 'a b c'.split(' ', 2) == ['a', 'b c'] && 'ab'.split('') == ['a', 'b']
        ['x', 'y'].join('-') == 'x-y' && 'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco'
        '  trim\\n '.trim() == 'trim' && 'gums'.reverse() == 'smug'
        'abc 123'.find('[0-9]+') == '123' && '123 abc 456'.findAll('[0-9]*') == ['123', '', '', '', '', '456'] || true
        '123 abc 456'.findAll('[0-9]+', 1) == ['123'] && 'nginx'.matches('^ng') && matches('x', 'x|y')
        [1, 2, 3].isSorted() && [1, 2].sum() == 3 && [3, 1].min() == 1 && ['a', 'b'].max() == 'b' && [].sum() == 0
        [1, 2, 2].indexOf(2) == 1 && [1, 2, 2].lastIndexOf(2) == 2 && [1].indexOf(5) == -1
        sets.contains([1, 2, 3], [1.0, 3]) && sets.equivalent([1], [1, 1u]) && !sets.intersects([1], [2])
        url('https://user:pw@example.com:80/path?k=v&k=w#').getHost() == 'example.com:80' || true
        url('https://example.com:80/path?k=v&k=w').getQuery() == {'k': ['v', 'w']}
        url('https://[::1]:80/').getHostname() == '::1' && url('https://[::1]:80/').getPort() == '80'
        url('/a/b').getScheme() == '' && isURL('https://a') && !isURL('../relative') && url('HTTPS://a').getScheme() == 'https'
        quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('1.5').compareTo(quantity('1500m')) == 0
        quantity('50k').asInteger() == 50000 && quantity('1500m').isInteger() == false && quantity('-1').sign() == -1
        quantity('0.5Gi').add(quantity('512Mi')) == quantity('1Gi') && quantity('1e3').sub(1) == quantity('999')
        isQuantity('200M') && !isQuantity('200K') && !isQuantity('Mi') && !isQuantity('1.1.1')
        ip('192.168.0.1').family() == 4 && isIP('::1') && !isIP('::ffff:1.2.3.4') && ip('127.0.0.1').isLoopback()
        cidr('192.168.0.0/24').containsIP('192.168.0.9') && !cidr('10.0.0.0/8').containsCIDR('11.0.0.0/9')
        cidr('192.168.1.5/24').masked() == cidr('192.168.1.0/24') && cidr('::/0').prefixLength() == 0
        string(cidr('10.0.0.0/8').ip()) == '10.0.0.0' && ip.isCanonical('::1') && !ip.isCanonical('::0001')
        format.dns1123Label().validate('ok') == optional.none() && format.named('uuid').value().validate('x').hasValue()
        '%s is %d (%.2f) %x'.format(['a', 1, 2.5, 255]) == 'a is 1 (2.50) ff' && '%e'.format([1234.5]) == '1.234500e+03'
        '%s'.format([[1, 'x', null]]) == '[1, x, null]'
        timestamp('2024-02-29T12:00:00Z').getDayOfYear() == 59 && timestamp('2024-02-29T23:00:00Z').getDate('+02:00') == 1
        timestamp('2024-01-02T00:00:00Z') - timestamp('2024-01-01T00:00:00Z') == duration('24h')
        duration('1h30m').getMinutes() == 90 && duration('90m') > duration('1h') && string(duration('1.5s')) == '1.5s'
        type(1) == int && type('a') == string && string(1.5) == '1.5' && int('7') == 7 && double('1') == 1.0
        '\\u00e9'.size() == 1 && r'\\d'.size() == 2 && '''it's'''.size() == 4
        bytes('ab') + b'c' == b'abc' && 'b' > 'a' && [1] + [2] == [1, 2]
    ";
    for expression in all.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert_eq!(eval(expression), Ok(json!(true)), "{expression}");
    }
}

#[test]
fn failures_are_told_in_upstreams_words() {
    let all = [
        "self.missing",
        "object.metadata.labels['x']",
        "self.ports[9].name",
        "1 / 0 == 1",
        "1 % 0 == 1",
        "9223372036854775807 + 1 > 0",
        "self.replicas + self.image",
        "int('x') > 0",
        "quantity('x').sign() > 0",
        "url('x').getHost() == ''",
        "self.image.substring(4, 2)",
        "optional.none().value()",
        "[].max()",
        "'a'.matches('(')",
        "self.replicas ? 1 : 2",
        "1 +",
        "foo.bar == 1",
        "self.ports.all(p, q.port > 1)",
        "nope(1)",
        "'a' + 1",
        "'a'.startsWith(1)",
        "'a'.x == 1",
        "size(1)",
        "1 == 'a'",
        "self.ports.all(1, true)",
        "has(self)",
        "a.b{}",
        "((",
        "'unfinished",
    ];
    let told: Vec<String> = all
        .iter()
        .map(|e| {
            format!("{e}\n    {}\n", eval(e).map_or_else(|e| e, |v| v.to_string()).replace('\n', "\n    "))
        })
        .collect();
    insta::assert_snapshot!(told.concat());
}

#[test]
fn a_schema_says_what_numbers_and_texts_are_and_which_fields_there_are() {
    let schema = json!({ "type": "object", "properties": {
        "ratio": { "type": "number" }, "at": { "type": "string", "format": "date-time" },
        "for": { "type": "string", "format": "duration" }, "raw": { "type": "string", "format": "byte" },
        "port": { "x-kubernetes-int-or-string": true }, "words": { "type": "array", "items": { "type": "string" } },
        "any": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        "labels": { "type": "object", "additionalProperties": { "type": "string" } },
    } });
    let object = json!({ "ratio": 1, "at": "2024-01-01T00:00:00Z", "for": "5m", "raw": "YWI=", "port": "http",
        "words": ["a"], "any": { "x": 1 }, "labels": { "a": "b" } });
    let eval = |expression: &str| {
        let program = Program::compile_typed(expression, &[("self", Type::of_schema(&schema))])
            .map_err(|e| e.to_string())?;
        let budget = Budget::per_call();
        let scope = Scope::new(&budget).with("self", &object, Some(crate::heart::cel::Schema(&schema)));
        scope.eval(&program).map(|v| v.to_json()).map_err(|e| e.to_string())
    };
    for expression in [
        "self.ratio / 2.0 == 0.5",
        "self.at < timestamp('2025-01-01T00:00:00Z')",
        "self.__for__ == duration('300s')",
        "self.raw == b'ab'",
        "self.port == 'http' || self.port == 80",
        "self.words.all(w, w.size() == 1)",
        "self.any.x == 1",
        "self.labels.a == 'b'",
    ] {
        assert_eq!(eval(expression), Ok(json!(true)), "{expression}");
    }
    let told = |e: &str| format!("{e}\n{}\n", eval(e).map_or_else(|e| e, |v| v.to_string()));
    insta::assert_snapshot!(
        ["self.rati == 1.0", "self.ratio == 'x'", "self.words.map(w, w + 1)", "self.at == 'x'"]
            .map(told)
            .concat()
    );
}

/// Whatever is asked, an answer comes within the budget.
#[test]
fn who_asks_for_too_much_is_stopped() {
    let digits = "[0,1,2,3,4,5,6,7,8,9]";
    let nested = |n: usize| (0..n).fold("true".to_string(), |inner, _| format!("{digits}.all(x, {inner})"));
    assert_eq!(eval(&nested(4)), Ok(json!(true)));
    let stopped = EvalError::Budget.to_string();
    assert_eq!(eval(&nested(8)), Err(stopped.clone()));
    // Each regular expression is paid for, and only once.
    assert_eq!(
        eval(&format!("{}.all(x, 'abc'.matches('^a'))", "[0,1,2,3,4,5,6,7,8,9].map(x, x)")),
        Ok(json!(true))
    );
    let all = format!(
        "{digits}.all(a, {digits}.all(b, {digits}.all(c, {digits}.all(d, 'x'.matches(string(a)+string(b)+string(c)+string(d)+'|x')))))"
    );
    assert_eq!(eval(&all), Err(stopped.clone()));
    // Text and lists that double with every turn.
    let double = |seed: &str, step: &str| {
        (0..40).fold(format!("[{seed}]"), |list, _| format!("{list}.map(x, {step})"))
    };
    for expression in [
        double("'aaaaaaaaaaaaaaaaaaaa'", "x + x"),
        format!("{}.all(x, x == x)", double("[1]", "[x, x]")),
        double("[1]", "[x, x]"),
        format!(
            "{}.all(x, x.size() > 0 && string(x) == '')",
            double("'aaaaaaaaaaaaaaaaaaaa'", "x.replace('a', 'aaaa')")
        ),
    ] {
        assert_eq!(eval(&expression), Err(stopped.clone()), "{expression}");
    }
}

#[test]
fn depth_is_bounded_before_anything_recurses() {
    let n = 20_000;
    for deep in [
        format!("{}1{}", "(".repeat(n), ")".repeat(n)),
        format!("{}1{}", "[".repeat(n), "]".repeat(n)),
        format!("object{}", ".a".repeat(n)),
        format!("1{}", "+1".repeat(n)),
        format!("{}true", "!".repeat(n)),
        format!("{}1", "- ".repeat(n)),
        format!("{}1", "true?1:".repeat(n / 10)),
        format!("{}1", "true&&true?1:".repeat(n / 10)),
        format!("1{}", " in [1]".repeat(n / 10)),
        format!("r'\\'{}1{}", "(".repeat(n), ")".repeat(n)),
        format!("'''it's''' + {}1{}", "(".repeat(n), ")".repeat(n)),
        format!("'a\n{}1{}", "(".repeat(n), ")".repeat(n)),
    ] {
        let refused = eval(&deep).expect_err("too deep");
        assert!(refused.starts_with("compilation failed: ERROR: <input>:"), "{}", &refused[..80]);
    }
    // What is allowed fits a thread's stack, also where nothing is optimised.
    let fits = (0..95).fold("1".to_string(), |inner, _| format!("[{inner}]"));
    assert!(eval(&fits).is_ok());
    assert!(eval(&format!("1{}", "+1".repeat(190))).is_ok());
    assert_eq!(eval(&vec!["true"; 5000].join(" && ")), Ok(json!(true)));
}

/// Texts that look like expressions.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("object".to_string()),
        Just("self".to_string()),
        Just("self.ports".to_string()),
        Just("object.metadata.labels".to_string()),
        Just("null".to_string()),
        Just("'text'".to_string()),
        Just("b'x'".to_string()),
        Just("1u".to_string()),
        Just("-9223372036854775808".to_string()),
        Just("1e308".to_string()),
        Just("quantity('1Gi')".to_string()),
        Just("ip('::1')".to_string()),
        Just("cidr('10.0.0.0/8')".to_string()),
        Just("duration('1h')".to_string()),
        Just("timestamp('9999-12-31T23:59:59Z')".to_string()),
        Just("url('/x')".to_string()),
        Just("optional.none()".to_string()),
        any::<i64>().prop_map(|i| i.to_string()),
        "[a-z%*(\\[\\\\äß€ .]{0,6}".prop_map(|s| format!("r\"{s}\"")),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in",
        ]);
        let one = prop::sample::select(vec![
            "size",
            "dyn",
            "type",
            "int",
            "uint",
            "double",
            "string",
            "bytes",
            "duration",
            "timestamp",
            "url",
            "quantity",
            "ip",
            "cidr",
            "isIP",
            "isURL",
            "bool",
        ]);
        let method = prop::sample::select(vec![
            "charAt",
            "indexOf",
            "lastIndexOf",
            "substring",
            "split",
            "replace",
            "join",
            "find",
            "findAll",
            "matches",
            "format",
            "sum",
            "min",
            "isSorted",
            "add",
            "sub",
            "compareTo",
            "containsIP",
            "getHours",
            "or",
            "orValue",
            "value",
            "hasValue",
            "masked",
            "trim",
            "reverse",
            "contains",
            "validate",
            "getQuery",
            "asInteger",
        ]);
        let each = prop::sample::select(vec!["all", "exists", "exists_one", "map", "filter", "optMap"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            (one, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (inner.clone(), method, prop::collection::vec(inner.clone(), 0..3))
                .prop_map(|(a, m, args)| format!("{a}.{m}({})", args.join(", "))),
            (inner.clone(), each, inner.clone()).prop_map(|(a, m, b)| format!("{a}.{m}(x, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            prop::collection::vec(inner.clone(), 0..3).prop_map(|l| format!("[{}]", l.join(", "))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
            inner.clone().prop_map(|a| format!("-{a}")),
            inner.clone().prop_map(|a| format!("!{a}")),
            inner.prop_map(|a| format!("{a}.?spec.x")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_expression_panics(expression in expression()) {
        let _ = eval(&expression);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = eval(&text);
    }

    #[test]
    fn no_heap_of_tokens_panics(tokens in prop::collection::vec(prop::sample::select(vec![
        "(", ")", "[", "]", "{", "}", ".", ".?", "[?", ",", ":", "?", "'", "\"", "'''", "r'", "b'", "`", "\\", "//",
        "\n", "in", "has(", "self", "1", "0x", "1e", "u", "&&", "|", "!", "-", "=", "all(x,", "é", "\u{1F600}", "null",
    ]), 0..40)) {
        let _ = eval(&tokens.concat());
    }

    /// Comparing is an order: both directions agree, and so do equality and order.
    #[test]
    fn comparisons_agree(a in any::<i64>(), b in any::<i64>(), f in any::<f64>()) {
        let truth = |e: String| eval(&e) == Ok(json!(true));
        prop_assert_eq!(truth(format!("dyn({a}) < dyn({b})")), a < b);
        prop_assert_eq!(truth(format!("quantity('{a}').isLessThan(quantity('{b}'))")), a < b);
        prop_assert_eq!(truth(format!("'{a}' < '{b}'")), a.to_string() < b.to_string());
        if f.is_finite() {
            prop_assert_eq!(truth(format!("dyn({a}) <= double('{f}')")), a as f64 <= f);
        }
    }
}
