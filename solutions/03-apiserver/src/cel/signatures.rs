//! The functions that there are: one line each, as `TYPE.name(ARGUMENTS) RESULT` or
//! `name(ARGUMENTS) RESULT`. A name with a dot and a lower-case namespace is in [`QUALIFIED`].

use super::authorizer::Stage;
use super::check::Type;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

pub struct Signature {
    pub receiver: bool,
    /// The receiver is the first.
    pub arguments: Vec<Type>,
    pub result: Type,
}

const TABLE: &str = "
size(string) int
size(bytes) int
size(list) int
size(map) int
string.size() int
bytes.size() int
list.size() int
map.size() int
dyn(dyn) dyn
type(dyn) dyn
int(dyn) int
uint(dyn) uint
double(dyn) double
bool(dyn) bool
bytes(dyn) bytes
string(dyn) string
duration(dyn) duration
timestamp(dyn) timestamp
matches(string,string) bool
string.matches(string) bool
string.contains(string) bool
string.startsWith(string) bool
string.endsWith(string) bool
string.charAt(int) string
string.indexOf(string) int
string.indexOf(string,int) int
string.lastIndexOf(string) int
string.lastIndexOf(string,int) int
string.lowerAscii() string
string.upperAscii() string
string.trim() string
string.reverse() string
string.replace(string,string) string
string.replace(string,string,int) string
string.split(string) list(string)
string.split(string,int) list(string)
string.substring(int) string
string.substring(int,int) string
string.find(string) string
string.findAll(string) list(string)
string.findAll(string,int) list(string)
string.format(list) string
list.join() string
list.join(string) string
list.isSorted() bool
list.sum() dyn
list.min() dyn
list.max() dyn
list.indexOf(dyn) int
list.lastIndexOf(dyn) int
timestamp.getFullYear() int
timestamp.getFullYear(string) int
timestamp.getMonth() int
timestamp.getMonth(string) int
timestamp.getDayOfYear() int
timestamp.getDayOfYear(string) int
timestamp.getDayOfMonth() int
timestamp.getDayOfMonth(string) int
timestamp.getDate() int
timestamp.getDate(string) int
timestamp.getDayOfWeek() int
timestamp.getDayOfWeek(string) int
timestamp.getHours() int
timestamp.getHours(string) int
timestamp.getMinutes() int
timestamp.getMinutes(string) int
timestamp.getSeconds() int
timestamp.getSeconds(string) int
timestamp.getMilliseconds() int
timestamp.getMilliseconds(string) int
duration.getHours() int
duration.getMinutes() int
duration.getSeconds() int
duration.getMilliseconds() int
optional.hasValue() bool
optional.value() dyn
optional.or(optional) dyn
optional.orValue(dyn) dyn
url(string) url
isURL(string) bool
url.getScheme() string
url.getHost() string
url.getHostname() string
url.getPort() string
url.getEscapedPath() string
url.getQuery() map
quantity(string) quantity
isQuantity(string) bool
quantity.isGreaterThan(quantity) bool
quantity.isLessThan(quantity) bool
quantity.compareTo(quantity) int
quantity.add(quantity) quantity
quantity.add(int) quantity
quantity.sub(quantity) quantity
quantity.sub(int) quantity
quantity.sign() int
quantity.isInteger() bool
quantity.asInteger() int
quantity.asApproximateFloat() double
ip(string) ip
isIP(string) bool
ip.family() int
ip.isUnspecified() bool
ip.isLoopback() bool
ip.isLinkLocalMulticast() bool
ip.isLinkLocalUnicast() bool
ip.isGlobalUnicast() bool
cidr(string) cidr
isCIDR(string) bool
cidr.ip() ip
cidr.masked() cidr
cidr.prefixLength() int
cidr.containsIP(ip) bool
cidr.containsIP(string) bool
cidr.containsCIDR(cidr) bool
cidr.containsCIDR(string) bool
format.validate(string) optional
authorizer.path(string) pathcheck
authorizer.group(string) groupcheck
authorizer.serviceAccount(string,string) authorizer
groupcheck.resource(string) resourcecheck
resourcecheck.subresource(string) resourcecheck
resourcecheck.namespace(string) resourcecheck
resourcecheck.name(string) resourcecheck
resourcecheck.fieldSelector(string) resourcecheck
resourcecheck.labelSelector(string) resourcecheck
resourcecheck.check(string) decision
pathcheck.check(string) decision
decision.allowed() bool
decision.reason() string
decision.errored() bool
decision.error() string
";

/// Functions that are called by a namespace and a name.
const QUALIFIED: &str = "
optional.of(dyn) optional
optional.none() optional
optional.ofNonZeroValue(dyn) optional
sets.contains(list,list) bool
sets.equivalent(list,list) bool
sets.intersects(list,list) bool
strings.quote(string) string
ip.isCanonical(string) bool
format.named(string) optional
format.dns1123Label() format
format.dns1123Subdomain() format
format.dns1035Label() format
format.qualifiedName() format
format.dns1123LabelPrefix() format
format.dns1123SubdomainPrefix() format
format.dns1035LabelPrefix() format
format.labelValue() format
format.uri() format
format.uuid() format
format.byte() format
format.date() format
format.datetime() format
";

/// All functions by name; those of a namespace by both.
pub fn functions() -> &'static BTreeMap<&'static str, Vec<Signature>> {
    static FUNCTIONS: LazyLock<BTreeMap<&'static str, Vec<Signature>>> = LazyLock::new(|| {
        let mut functions: BTreeMap<&'static str, Vec<Signature>> = BTreeMap::new();
        let tables = [(TABLE, false), (QUALIFIED, true)];
        for (line, qualified) in tables.iter().flat_map(|(t, q)| t.lines().map(|l| (l, *q))) {
            let Some((head, rest)) = line.split_once('(') else { continue };
            let Some((arguments, result)) = rest.split_once(") ") else { continue };
            let (receiver, name) = match head.split_once('.') {
                Some((receiver, name)) if !qualified => (Some(receiver), name),
                _ => (None, head),
            };
            let names = receiver.into_iter().chain(arguments.split(',').filter(|a| !a.is_empty()));
            let signature = Signature {
                receiver: receiver.is_some(),
                arguments: names.map(read).collect(),
                result: read(result),
            };
            functions.entry(name).or_default().push(signature);
        }
        functions
    });
    &FUNCTIONS
}

fn read(name: &str) -> Type {
    match name {
        "int" => Type::Int,
        "uint" => Type::Uint,
        "bool" => Type::Bool,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        "list" => Type::List(Arc::default()),
        "list(string)" => Type::List(Arc::new(Type::String)),
        "map" => Type::Map(Arc::default()),
        "optional" => Type::Optional(Arc::default()),
        "quantity" => Type::Other("kubernetes.Quantity"),
        "url" => Type::Other("kubernetes.URL"),
        "ip" => Type::Other("net.IP"),
        "cidr" => Type::Other("net.CIDR"),
        "format" => Type::Other("kubernetes.NamedFormat"),
        "authorizer" => Stage::Authorizer.to_type(),
        "pathcheck" => Stage::Path.to_type(),
        "groupcheck" => Stage::Group.to_type(),
        "resourcecheck" => Stage::Resource.to_type(),
        "decision" => Stage::Decision.to_type(),
        _ => Type::Dyn,
    }
}

impl Type {
    /// Whether a parameter of this type may be given such a value.
    pub fn takes(&self, given: &Type) -> bool {
        match (self, given) {
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (Type::List(_), Type::List(_)) | (Type::Optional(_), Type::Optional(_)) => true,
            (Type::Map(_), Type::Map(_) | Type::Fields(_)) => true,
            (want, given) => want == given,
        }
    }
}
