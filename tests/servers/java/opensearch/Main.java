// SPDX-License-Identifier: Apache-2.0

import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node on 127.0.0.1: arguments are its folder, its HTTP port and its transport port; until killed. */
public class Main {
    public static void main(String[] arguments) throws Exception {
        int http = Integer.parseInt(arguments[1]);
        int transport = Integer.parseInt(arguments[2]);
        OpenSearchRunner node = new OpenSearchRunner();
        node.setMaxHttpPort(65535);
        node.onBuild((number, settings) -> {
            settings.put("network.host", "127.0.0.1");
            settings.put("http.port", http);
            settings.put("transport.port", transport);
            settings.putList("cluster.initial_cluster_manager_nodes", "127.0.0.1:" + transport);
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
        });
        // The runner adds the node's number, counted from 1, to the base port.
        node.build(OpenSearchRunner.newConfigs().clusterName("osprofiler").numOfNode(1).basePath(arguments[0])
            .baseHttpPort(http - 1).disableESLogger());
        Thread.currentThread().join();
    }
}
