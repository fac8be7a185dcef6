# What an interlock with one limit does with a recording, in a few lines: it trips on a sample beyond the limit while
# armed, and is armed again by the first good one. A sample that is not a number is beyond every limit.
#   awk -f reference.awk -v column=NAME [-v low=X] [-v high=X] FILE.csv
NR == 1 { FS = gsub(/;/, ";") > gsub(/,/, ",") ? ";" : ","; sub(/\r$/, ""); $0 = $0
          for (i = 1; i <= NF; i++) if ($i == column) at = i
          if (!at) { print "no column " column >"/dev/stderr"; bad = 1; exit 2 }; next }
/^[ \r]*$/ { next }
{ sub(/\r$/, ""); x = $at; number = x ~ /^ *[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)? *$/
  beyond = !number || (low != "" && x + 0 < low + 0) || (high != "" && x + 0 > high + 0)
  if (armed && beyond) { armed = 0; trips++; print "trip", row, x } else if (!beyond) armed = 1
  row++ }
END { if (!bad) print "trips: " trips + 0 }
