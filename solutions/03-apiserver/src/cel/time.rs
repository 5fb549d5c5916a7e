//! Parts of times and lengths of time, in UTC or at a fixed offset (`"+02:00"`).

use super::functions::{Answer, Target};
use super::value::Value;
use super::{Budget, EvalError};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

pub fn call<'a>(_: &Budget, target: Target<'_>, name: &str, args: &[Value<'a>]) -> Option<Answer<'a>> {
    if target != Target::Receiver {
        return None;
    }
    match args {
        [Value::Duration(length)] => Some(Ok(Value::Int(match name {
            "getHours" => length.as_hours(),
            "getMinutes" => length.as_mins(),
            "getSeconds" => length.as_secs(),
            "getMilliseconds" => i64::from(length.subsec_millis()),
            _ => return None,
        }))),
        [Value::Timestamp(time), zone @ ..] => {
            let zone = match zone {
                [] => Ok(TimeZone::UTC),
                [Value::String(zone)] => read_zone(zone.as_str()),
                _ => return None,
            };
            match zone {
                Ok(zone) => part(name, zone.to_datetime(*time)).map(|n| Ok(Value::Int(n))),
                Err(error) => Some(Err(error)),
            }
        }
        _ => None,
    }
}

fn part(name: &str, time: DateTime) -> Option<i64> {
    Some(match name {
        "getFullYear" => i64::from(time.year()),
        "getMonth" => i64::from(time.month()) - 1,
        "getDayOfYear" => i64::from(time.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(time.day()) - 1,
        "getDate" => i64::from(time.day()),
        "getDayOfWeek" => i64::from(time.weekday().to_sunday_zero_offset()),
        "getHours" => i64::from(time.hour()),
        "getMinutes" => i64::from(time.minute()),
        "getSeconds" => i64::from(time.second()),
        "getMilliseconds" => i64::from(time.millisecond()),
        _ => return None,
    })
}

fn read_zone(text: &str) -> Result<TimeZone, EvalError> {
    let unknown = || EvalError::failed(format!("unknown time zone {text}"));
    if text == "UTC" || text.is_empty() {
        return Ok(TimeZone::UTC);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = digits.split_once(':').ok_or_else(unknown)?;
    let (hours, minutes): (i32, i32) =
        (hours.parse().map_err(|_| unknown())?, minutes.parse().map_err(|_| unknown())?);
    if !(0..=23).contains(&hours) || !(0..60).contains(&minutes) {
        return Err(unknown());
    }
    let offset = Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).map_err(|_| unknown())?;
    Ok(TimeZone::fixed(offset))
}
