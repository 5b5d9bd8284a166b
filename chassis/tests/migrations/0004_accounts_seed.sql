-- Slow on purpose: instances that start together must wait for each other, not pass each other.
DO SLEEP(0.2);
INSERT INTO accounts (id, name, balance) VALUES (1, 'ada', 100), (2, 'bo', 100);
