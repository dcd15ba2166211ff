<?php
CModule::IncludeModule('im');
CIMNotify::DeleteBySubTag("TASKS");
echo json_encode(['count' => (new CIMNotify(5))->GetNotifyCounter()]);
