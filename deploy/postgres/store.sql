-- The store's roles and database, run once by the image where its volume is empty.
-- The same statements as in crypto_platform/stack/postgres.py, which a test compares; rights on tables
-- are the migration's. Passwords come from the environment, so none stands in a command line.
\getenv migrator_password MIGRATOR_PASSWORD
\getenv loader_password LOADER_PASSWORD
\getenv analyst_password ANALYST_PASSWORD
\getenv api_password API_PASSWORD

CREATE ROLE migrator LOGIN PASSWORD :'migrator_password';
CREATE ROLE loader LOGIN PASSWORD :'loader_password';
CREATE ROLE analyst LOGIN PASSWORD :'analyst_password';
CREATE ROLE api LOGIN PASSWORD :'api_password';
ALTER ROLE analyst SET default_transaction_read_only = on;
ALTER ROLE analyst SET statement_timeout = '120s';
CREATE DATABASE crypto_platform OWNER migrator;
REVOKE ALL ON DATABASE crypto_platform FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE crypto_platform TO loader;
GRANT CONNECT ON DATABASE crypto_platform TO analyst;
GRANT CONNECT ON DATABASE crypto_platform TO api;

\connect crypto_platform
CREATE EXTENSION btree_gist;
