//! Which addresses are of the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address may be called: one that Twilio could reach too. Everything that the registries set aside is refused
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>, <https://www.iana.org/assignments/iana-ipv6-special-registry>),
/// also where it is wrapped in an IPv6 address.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

#[allow(clippy::unnested_or_patterns, reason = "a line of the registry reads best as one pattern")]
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // Azure's platform services, on every machine there, behind an address that looks public.
    address != Ipv4Addr::new(168, 63, 129, 16)
        && !matches!(
            (a, b, c),
            // This network, private, loopback, link-local (metadata services), carrier-grade NAT.
            (0 | 10 | 127, ..) | (169, 254, _) | (172, 16..=31, _) | (100, 64..=127, _)
        // Private; protocol assignments, documentation, 6to4 relays; benchmarks.
        | (192, 168, _) | (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _)
        // Documentation; multicast, reserved, broadcast.
        | (198, 51, 100) | (203, 0, 113) | (224..=255, ..)
        )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, middle @ .., high, low] = address.segments();
    let v4 = || is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match (first, second) {
        // An IPv4 address in IPv6 clothes: mapped, and behind a translator.
        (0, 0) if middle == [0, 0, 0, 0xffff] => v4(),
        (0x64, 0xff9b) if middle == [0; 4] => v4(),
        // 6to4 and Teredo carry one too; nobody serves a webhook there.
        (0x2002, _) | (0x2001, 0..=0x1ff) => false,
        // Documentation, segment routing.
        (0x2001, 0xdb8) | (0x3fff, 0..=0xfff) => false,
        // Global unicast is 2000::/3; what is outside is local, multicast, or set aside.
        _ => (0x2000..=0x3fff).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_local_and_reserved_addresses_are_refused_in_every_spelling() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.96.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "128.0.0.1",
            "169.253.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2001:200::1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    /// The standard library's own words, where they are stable, agree: over every /16 and its edges.
    #[test]
    fn nothing_that_the_standard_library_calls_local_is_public() {
        for high in 0..=u16::MAX {
            for low in [0_u16, 1, 255, 256, 0x7fff, 0x8000, u16::MAX] {
                let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
                let v4 = Ipv4Addr::new(a, b, c, d);
                let local = v4.is_private()
                    || v4.is_loopback()
                    || v4.is_link_local()
                    || v4.is_unspecified()
                    || v4.is_multicast()
                    || v4.is_broadcast()
                    || v4.is_documentation();
                assert!(!(local && is_public(v4.into())), "{v4}");
                assert_eq!(is_public(v4.into()), is_public(v4.to_ipv6_mapped().into()), "{v4}");
                let v6 = Ipv6Addr::new(high, low, 0, 0, 0, 0, 0, 1);
                let local = v6.is_loopback()
                    || v6.is_multicast()
                    || v6.is_unspecified()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local();
                assert!(!(local && is_public(v6.into())), "{v6}");
            }
        }
    }
}
