//! What went wrong with a message, in words (<https://www.twilio.com/docs/api/errors>).

/// Why a message that was sent did not arrive.
pub(super) fn sent(code: u32) -> &'static str {
    match code {
        21_211 | 21_614 => "the recipient's number is not one that can get messages",
        21_408 => {
            "the account may not send to this country: allow it in the Twilio Console, under Messaging, Geo permissions"
        }
        21_606 => "the number cannot send messages: OutboundSms says why",
        21_608 => "a trial account sends to verified numbers only: verify this one, or upgrade the account",
        21_610 => "the recipient has answered STOP to this number: they have to text START to it",
        21_612 => "Twilio has no way from this number to that one",
        30_001 => "too many messages are waiting: slow down",
        30_002 => "the account was suspended meanwhile",
        30_003 => "the recipient's phone is switched off or out of reach",
        30_004 => "the recipient blocks messages",
        30_005 => "the recipient's number is not in use any more",
        30_006 => "the recipient's number is a landline, or its carrier cannot be reached",
        30_007 => "a carrier took it for spam",
        30_022 => "more messages than the carriers' limit for this campaign",
        30_032 => "the toll-free number is not verified: see OutboundSms",
        30_034 => "the number is not registered for traffic to the United States (A2P 10DLC): see OutboundSms",
        30_410 | 30_500 => "Twilio or a carrier failed: try again",
        _ => "Twilio's error dictionary says more about this code",
    }
}

/// Why a message that arrived at Twilio did not reach the webhook.
pub(super) fn webhook(code: u32) -> &'static str {
    match code {
        11_200 => "the webhook answered with an error, or not at all",
        11_205 => "the webhook's host does not take connections",
        11_210 => "the webhook's host name is not known",
        11_215 => "the webhook redirects too often",
        11_220 => "TLS with the webhook's host failed",
        11_235..=11_237 => {
            "the webhook's certificate cannot be trusted: it is self-signed, expired or for another name"
        }
        11_751 => "the webhook's answer has media that Twilio cannot use",
        12_100..=12_399 => "the webhook's answer is not TwiML: answer with an empty <Response/>, as text/xml",
        14_100..=14_199 => "the webhook's answer asks for a message that Twilio does not send",
        _ => "Twilio's error dictionary says more about this code",
    }
}
