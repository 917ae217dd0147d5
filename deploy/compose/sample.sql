-- Sample data, and the login that Curfew uses: it may create roles and is no superuser. The tables
-- belong to another role; Curfew's login may pass on the right to read them, and nothing else.
CREATE ROLE app_owner NOLOGIN;
CREATE TABLE customers (
  id   integer PRIMARY KEY,
  name text NOT NULL,
  city text NOT NULL
);
CREATE TABLE orders (
  id          integer PRIMARY KEY,
  customer_id integer NOT NULL REFERENCES customers,
  amount      numeric(10, 2) NOT NULL
);
INSERT INTO customers VALUES (1, 'Ada Quist', 'Bergen'), (2, 'Bo Tamm', 'Tallinn'), (3, 'Cleo Marsh', 'Leeds');
INSERT INTO orders VALUES (1, 1, 99.50), (2, 1, 12.00), (3, 3, 250.00);
ALTER TABLE customers OWNER TO app_owner;
ALTER TABLE orders OWNER TO app_owner;

-- Membership in a group role is the form that scales: no table's access list grows with the leases.
CREATE ROLE app_readers NOLOGIN;
GRANT USAGE ON SCHEMA public TO app_readers;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_readers;

CREATE ROLE curfew_broker LOGIN CREATEROLE PASSWORD 'only-for-trying-out-too';
GRANT app_readers TO curfew_broker WITH ADMIN OPTION;
-- To end sessions of roles that somebody else has dropped.
GRANT pg_signal_backend TO curfew_broker;
