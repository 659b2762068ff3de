-- Dagster's role and database, run once by the image where its volume is empty.
-- The same statements as in crypto_platform/stack/postgres.py, which a test compares.
\getenv dagster_password DAGSTER_PASSWORD

CREATE ROLE dagster LOGIN PASSWORD :'dagster_password';
CREATE DATABASE dagster OWNER dagster;
REVOKE ALL ON DATABASE dagster FROM PUBLIC;
