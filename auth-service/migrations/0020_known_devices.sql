-- Devices that an account logged in from: they may try a password while the account is throttled for
-- everyone else. Both columns are keyed digests: the table tells neither address nor client nor
-- account. A few devices per account, each forgotten when it was not seen for long.
CREATE TABLE IF NOT EXISTS known_devices (
    account BINARY(32)  NOT NULL,
    device  BINARY(32)  NOT NULL,
    seen_at DATETIME(6) NOT NULL,
    PRIMARY KEY (account, device),
    KEY known_devices_seen_at (seen_at)
) ENGINE = InnoDB;
