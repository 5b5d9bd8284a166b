-- One schema and one account per service; an account has rights on its own schema alone.
-- The passwords are for development: a real deployment creates the accounts with its own.
CREATE DATABASE IF NOT EXISTS hub_user    CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE DATABASE IF NOT EXISTS hub_auth    CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE DATABASE IF NOT EXISTS hub_order   CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE DATABASE IF NOT EXISTS hub_payment CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE DATABASE IF NOT EXISTS hub_notify  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE USER IF NOT EXISTS 'hub_user'@'%'    IDENTIFIED BY 'hub_user';
CREATE USER IF NOT EXISTS 'hub_auth'@'%'    IDENTIFIED BY 'hub_auth';
CREATE USER IF NOT EXISTS 'hub_order'@'%'   IDENTIFIED BY 'hub_order';
CREATE USER IF NOT EXISTS 'hub_payment'@'%' IDENTIFIED BY 'hub_payment';
CREATE USER IF NOT EXISTS 'hub_notify'@'%'  IDENTIFIED BY 'hub_notify';

-- DDL because each service migrates its own schema at start.
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, REFERENCES ON `hub\_user`.*    TO 'hub_user'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, REFERENCES ON `hub\_auth`.*    TO 'hub_auth'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, REFERENCES ON `hub\_order`.*   TO 'hub_order'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, REFERENCES ON `hub\_payment`.* TO 'hub_payment'@'%';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, REFERENCES ON `hub\_notify`.*  TO 'hub_notify'@'%';
