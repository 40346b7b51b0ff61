-- Until the end of the transaction, the server writes no statement and no parameter into its log, whatever it is set to.
-- Those of extensions that are not loaded are mere names.
select pg_catalog.set_config(name, value, true)
from (values
    ('log_statement', 'none'),
    ('log_min_error_statement', 'panic'),
    ('log_min_duration_statement', '-1'),
    ('log_min_duration_sample', '-1'),
    ('log_transaction_sample_rate', '0'),
    ('log_parameter_max_length', '0'),
    ('log_parameter_max_length_on_error', '0'),
    ('pg_stat_statements.track_utility', 'off'),
    ('auto_explain.log_min_duration', '-1')
) as setting (name, value)
