lpipsReport.start();
