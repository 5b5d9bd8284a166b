-- Roles of an account. A table of its own, because the guard of the last administrator locks the
-- administrators' rows through the key on the role, and nothing else.
CREATE TABLE IF NOT EXISTS user_roles (
    user_id BINARY(16)                                            NOT NULL,
    role    VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin     NOT NULL,
    PRIMARY KEY (user_id, role),
    KEY user_roles_role (role, user_id),
    CONSTRAINT user_roles_user FOREIGN KEY (user_id) REFERENCES users (id)
) ENGINE = InnoDB;
