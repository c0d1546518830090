#!/bin/sh
exec echelon-agent upgrade "$@" # the package's: it alone says which version runs, and goes back from one that cannot
