#!/bin/sh
exec /opt/java/bin/java -Xmx256m -cp '/opt/kafka/libs/jars/*:/opt/kafka/libs/modules/*' org.apache.kafka.tools.BrokerApiVersionsCommand "$@"
