#!/bin/sh
# Fetch the scan server of CS-Studio (phoebus), a Java program, from Maven Central.
#
#     benchmarks/scan/genuine_server.sh [VERSION]
#
# Its jars go to .benchmarks/scan-server/lib, which git ignores. Tests use what is there
# and never fetch anything themselves. Needs mvn; java 17 is needed to run it. Not every
# release is on Maven Central: jars of your own build or installation will do, if
# BEAMFLY_GENUINE_SCAN_SERVER names their folder. Mind that this server listens on all
# network interfaces.
set -eu
version="${1:-5.0.5}"
root="$(cd "$(dirname "$0")/../.." && pwd)"
folder="$root/.benchmarks/scan-server"
mkdir -p "$folder"
cat > "$folder/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>genuine-scan-server</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.phoebus</groupId>
      <artifactId>service-scan-server</artifactId>
      <version>$version</version>
    </dependency>
  </dependencies>
</project>
POM
rm -rf "$folder/lib"
# -U: a release that was not there before may be by now
if ! mvn -B -q -U -f "$folder/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$folder/lib"; then
    echo "Version $version could not be fetched. Build services/scan-server of phoebus" >&2
    echo "and set BEAMFLY_GENUINE_SCAN_SERVER to the folder with its jars." >&2
    exit 1
fi
printf '%s\n' "$version" > "$folder/version"
echo "Scan server $version: $(find "$folder/lib" -name '*.jar' | wc -l) jars in $folder/lib"
