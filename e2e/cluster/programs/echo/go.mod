module headgate.dev/e2e/cluster/echo

go 1.21
