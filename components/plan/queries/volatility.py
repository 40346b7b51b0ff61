"""PostgreSQL's own functions, as far as a plan depends on what kind they are: volatile, stable, aggregate, window, set-returning."""

from __future__ import annotations

from typing import Final

__all__ = ["AGGREGATES", "SET_RETURNING", "STABLE", "VOLATILE", "WINDOW_FUNCTIONS"]

VOLATILE: Final = frozenset(
    """
    clock_timestamp currval gen_random_uuid lastval nextval pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock
    pg_advisory_unlock_all pg_advisory_unlock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_notify
    pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared pg_sleep
    pg_sleep_for pg_sleep_until random set_config setseed setval timeofday pg_relation_size pg_total_relation_size
    pg_database_size pg_table_size pg_indexes_size uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 gen_random_bytes
    gen_salt dblink dblink_exec
    """.split()
)

STABLE: Final = frozenset(
    """
    age array_to_json array_to_string concat concat_ws convert convert_from convert_to current_database current_schema
    current_schemas current_setting current_user current_date current_time current_timestamp localtime localtimestamp
    current_role current_catalog user date_part_tz format format_type inet_client_addr inet_server_addr json_build_array
    json_build_object json_populate_record json_populate_recordset json_to_record json_to_recordset jsonb_build_array
    jsonb_build_object jsonb_populate_record jsonb_populate_recordset jsonb_to_record jsonb_to_recordset make_timestamptz now
    obj_description col_description pg_typeof pg_column_size phraseto_tsquery plainto_tsquery quote_nullable row_to_json
    session_user statement_timestamp to_char to_date to_json to_jsonb to_number to_regclass to_timestamp to_tsquery
    to_tsvector transaction_timestamp txid_current version websearch_to_tsquery pg_get_viewdef pg_get_functiondef
    pg_get_constraintdef pg_get_indexdef pg_get_expr has_table_privilege unaccent similarity ts_headline
    """.split()
)

AGGREGATES: Final = frozenset(
    """
    array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every json_agg json_object_agg
    jsonb_agg jsonb_object_agg max min mode percentile_cont percentile_disc range_agg range_intersect_agg regr_avgx regr_avgy
    regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum var_pop
    var_samp variance xmlagg
    """.split()
)

WINDOW_FUNCTIONS: Final = frozenset(
    "cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number".split()
)

SET_RETURNING: Final = frozenset(
    """
    generate_series generate_subscripts json_array_elements json_array_elements_text json_each json_each_text json_object_keys
    json_populate_recordset json_to_recordset jsonb_array_elements jsonb_array_elements_text jsonb_each jsonb_each_text
    jsonb_object_keys jsonb_path_query jsonb_populate_recordset jsonb_to_recordset regexp_matches regexp_split_to_table
    string_to_table unnest
    """.split()
)
