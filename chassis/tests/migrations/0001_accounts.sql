-- What the tests of transactions change.
CREATE TABLE IF NOT EXISTS accounts (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    name VARCHAR(64) NOT NULL,
    balance BIGINT NOT NULL,
    UNIQUE KEY accounts_name (name)
) ENGINE=InnoDB;
