-- What an account that reads the original's tables may do, object by object: it sees
-- nothing else in the database and writes nothing. SHOW VIEW lets libraries ask for a
-- view's columns. Make the account first, with a password of your own, and put your names
-- in the place of `animov` and `animov_reader`:
--
--   CREATE USER animov_reader IDENTIFIED BY '…';
--
-- Never grant `animov.*`: the database also holds what is not for readers, such as the
-- accounts of the API. The procedures write ResultatsConsolides with the rights of
-- whoever made the tables.

GRANT SELECT, SHOW VIEW ON animov.table_chevres_minute_serveur_v2 TO animov_reader;
GRANT SELECT, SHOW VIEW ON animov.table_chevres_minute TO animov_reader;
GRANT SELECT, SHOW VIEW ON animov.table_chevres_heures TO animov_reader;
GRANT SELECT ON animov.ResultatsConsolides TO animov_reader;
GRANT SELECT, SHOW VIEW ON animov.vue_chevres_derniere_minute_v2 TO animov_reader;
GRANT SELECT, SHOW VIEW ON animov.vue_chevres_derniere_minute TO animov_reader;
GRANT SELECT, SHOW VIEW ON animov.vue_chevres_serier_heure TO animov_reader;
GRANT SELECT, SHOW VIEW ON animov.vue_chevre_derniere_heure_last TO animov_reader;
GRANT SELECT, SHOW VIEW ON animov.vue_chevres_serier_jour TO animov_reader;
GRANT SELECT, SHOW VIEW ON animov.vue_chevre_derniere_jour_last TO animov_reader;
GRANT SELECT, SHOW VIEW ON animov.final TO animov_reader;
GRANT SELECT, SHOW VIEW ON animov.final_2 TO animov_reader;
GRANT EXECUTE ON PROCEDURE animov.CalculerEcartTypeHeureTotal TO animov_reader;
GRANT EXECUTE ON PROCEDURE animov.CalculerEcartTypeHeureDebout TO animov_reader;
GRANT EXECUTE ON PROCEDURE animov.CalculerEcartTypeHeureCouche TO animov_reader;
GRANT EXECUTE ON PROCEDURE animov.ConsoliderResultatsEcartType TO animov_reader;
