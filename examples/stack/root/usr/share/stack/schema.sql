-- Run until it has succeeded once; what a try that was cut short has left goes first.
SET client_min_messages = warning;
DROP DATABASE IF EXISTS stack;
DROP ROLE IF EXISTS "www-data", root;
CREATE ROLE "www-data" LOGIN;
CREATE ROLE root LOGIN;
CREATE DATABASE stack;
\connect stack
CREATE TABLE greeting (text text NOT NULL);
INSERT INTO greeting VALUES (:'greeting');
CREATE TABLE beat (at timestamptz NOT NULL DEFAULT now());
GRANT SELECT ON greeting, beat TO "www-data";
GRANT SELECT, INSERT ON beat TO root;
